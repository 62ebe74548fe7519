package lifecycle_test

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/worker"
)

const keyPrefix = "callvault"

// erasing is a fixture whose archives are in MinIO too, with what builds, sweeps and erases.
type erasing struct {
	*fixture
	archives *objstore.Bucket
	build    *worker.Builder
	sweeper  *lifecycle.Sweeper
	eraser   *lifecycle.Eraser
}

func newErasing(t *testing.T, c *catalog.Catalog, cfg objstore.Config) *erasing {
	t.Helper()
	return extend(newFixture(t, c), cfg)
}

func eraseOnBoth(t *testing.T, test func(e *erasing)) {
	onBoth(t, func(f *fixture) { test(extend(f, objstoretest.MinIO(f))) })
}

// extend gives a fixture archives in MinIO.
func extend(f *fixture, cfg objstore.Config) *erasing {
	f.Helper()
	_, err := f.c.AddSigningKeys(f.ctx, []catalog.SigningKey{{ID: "k", Purpose: "erasure", Algorithm: "HS256", Material: []byte("key of erasures")}}, time.Hour)
	f.must(err)
	store := objstoretest.Open(f, cfg)
	f.bucket = store.Recordings()
	f.restart()
	log := zaptest.NewLogger(f)
	return &erasing{fixture: f, archives: store.Archives(),
		build:   worker.NewBuilder(worker.Config{Name: "w", Lock: cfg.Lock, Archive: archiver.Config{Tries: 2, Backoff: time.Millisecond}}, f.c, f.bucket, store.Archives(), time.Now, log),
		sweeper: lifecycle.NewSweeper(lifecycle.SweepConfig{}, f.c, f.bucket, store.Archives(), time.Now, log),
		eraser:  lifecycle.NewEraser(f.c, f.bucket, store.Archives(), keyPrefix, time.Now, log)}
}

func (e *erasing) plan() {
	e.Helper()
	_, err := e.c.PlanDay(e.ctx, tenant, day)
	e.must(err)
	e.buildAll()
}

// buildAll builds the hours that are due.
func (e *erasing) buildAll() {
	e.Helper()
	for hour := range 24 {
		e.must(e.build.BuildHour(e.ctx, queue.Task{Key: domain.HourKey{Tenant: tenant, Day: day, Hour: hour}, Dispatch: 1}))
	}
}

func (e *erasing) ask(reason string, conversations ...string) (lifecycle.Erasure, error) {
	return e.eraser.Ask(e.ctx, lifecycle.ErasureRequest{Tenant: tenant, Conversations: conversations, Reason: reason, Origin: audit.Origin{Actor: "admin"}})
}

// finish runs what workers run until an erasure is proven.
func (e *erasing) finish(id string) lifecycle.Erasure {
	e.Helper()
	for range 6 {
		e.buildAll()
		e.must(e.eraser.Step(e.ctx))
		_, err := e.sweeper.Sweep(e.ctx)
		e.must(err)
		_, err = e.delete.Sweep(e.ctx)
		e.must(err)
		x, err := e.eraser.Status(e.ctx, tenant, id)
		e.must(err)
		if x.State == lifecycle.ErasureProven {
			return x
		}
	}
	x, err := e.eraser.Status(e.ctx, tenant, id)
	e.Fatalf("the erasure is %+v, %v", x, err)
	return x
}

// files gives the recordings of an hour's served archive, by path.
func (e *erasing) files(hour int) map[string]string {
	e.Helper()
	v, err := e.c.Day(e.ctx, tenant, day)
	e.must(err)
	out := map[string]string{}
	a := v.Hours[hour].Archive
	if a == nil {
		return out
	}
	o, err := e.archives.Get(e.ctx, a.ObjectKey, objstore.GetOptions{})
	e.must(err)
	data, err := io.ReadAll(o.Body)
	e.must(err)
	e.must(o.Body.Close())
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	e.must(err)
	for _, f := range z.File {
		if r, err := f.Open(); strings.Contains(f.Name, "/") {
			e.must(err)
			text, err := io.ReadAll(r)
			e.must(err)
			out[f.Name] = string(text)
		}
	}
	return out
}

// dump gives every row of every table as text, but those that say what was ordered.
func (e *erasing) dump() map[string]string {
	e.Helper()
	query := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose%'`
	if e.c.DB().Postgres() {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'goose%'`
	}
	tables, err := db.Collect(e.ctx, e.c.DB(), db.Value[string], query)
	e.must(err)
	out := map[string]string{}
	for _, table := range tables {
		var rows []string
		e.must(db.Each(e.ctx, e.c.DB(), func(r *sql.Rows) error {
			columns, err := r.Columns()
			e.must(err)
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			err = r.Scan(values...)
			var text []string
			for i, v := range values {
				text = append(text, fmt.Sprintf("%s=%s", columns[i], *v.(*any)))
			}
			rows = append(rows, strings.Join(text, " "))
			return err
		}, `SELECT * FROM `+table))
		slices.Sort(rows)
		out[table] = strings.Join(rows, "\n")
	}
	return out
}

// leftOver fails if a text is in a table or in an object of both buckets. Orders and audit lines may
// have ids.
func (e *erasing) leftOver(content string) {
	e.Helper()
	for table, rows := range e.dump() {
		if strings.Contains(rows, content) {
			e.Errorf("the table %s has %q", table, content)
		}
	}
	for _, b := range []*objstore.Bucket{e.bucket, e.archives} {
		folders := []string{"calls", "calls/gone", "calls/stays", keyPrefix + "/erasures"}
		for hour := range 24 {
			folders = append(folders, domain.HourKey{Tenant: tenant, Day: day, Hour: hour}.ArchiveFolder(keyPrefix))
		}
		for _, folder := range folders {
			keys, err := b.Keys(e.ctx, folder)
			e.must(err)
			for _, key := range keys {
				o, err := b.Get(e.ctx, key, objstore.GetOptions{})
				e.must(err)
				data, err := io.ReadAll(o.Body)
				e.must(err)
				e.must(o.Body.Close())
				if bytes.Contains(data, []byte(content)) {
					e.Errorf("the object %s has %q", key, content)
				}
			}
		}
	}
}

// An erasure leaves nothing of a conversation, and changes nothing else. Its lines may come again.
func TestErasure(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		gone := e.whole("gone")
		e.whole("stays")
		platform := e.recording("gone")
		e.must(e.take(catalog.Batch{Recordings: lines(platform)}))
		e.platformPut(platform.ObjectKey, "of the platform")
		e.at(day.End().Add(2 * time.Hour))
		e.plan()
		before, hour := e.files(1), e.view(1)
		if len(before) != 3 {
			t := slices.Collect(maps.Keys(before))
			e.Fatalf("the archive has %q", t)
		}
		stays := e.rowsOf("stays")

		n, err := e.eraser.Preview(e.ctx, lifecycle.ErasureRequest{Tenant: tenant, Conversations: []string{"gone"}})
		e.must(err)
		if n.Conversations != 1 || n.Recordings != 2 || n.Messages != 1 || n.Archives != 1 || n.Days != 1 {
			e.Errorf("a preview counts %+v", n)
		}
		x, err := e.ask("GDPR 17", "gone")
		e.must(err)
		if x.State != lifecycle.ErasureRebuilding || x.Removed.Recordings != 2 || x.Removed.Messages != 1 {
			e.Errorf("after the order it is %+v", x)
		}
		link, err := e.c.LinkAccess(e.ctx, domain.HourKey{Tenant: tenant, Day: day, Hour: 1}, hour.Archive.Token, catalog.Holder{})
		e.must(err)
		if v := e.view(1); link.Archive != nil || v.State != catalog.StatePending || v.Archive != nil {
			e.Errorf("the link gives %v, the hour is %s", link.Archive, v.State)
		}
		x = e.finish(x.ID)
		if p := x.Proof; p.Recordings.Deleted != 1 || p.Archives.Deleted != 1 || len(p.Archives.SHA256) != 1 || len(p.Left) != 1 || p.Left[0] != platform.ObjectKey || len(p.Hours) != 1 || x.Gone == nil {
			e.Errorf("the proof is %+v, the last copy went %v", p, x.Gone)
		}
		maps.DeleteFunc(before, func(path, _ string) bool { return strings.HasPrefix(path, "gone/") })
		if after := e.files(1); !maps.Equal(before, after) || len(after) != 1 {
			e.Errorf("the next revision has %q", slices.Collect(maps.Keys(after)))
		}
		if again := e.rowsOf("stays"); again != stays {
			e.Errorf("other rows changed:\n%s\n%s", stays, again)
		}
		if v, err := e.c.Day(e.ctx, tenant, day); err != nil || v.Hours[1].Revision != 2 || !v.Settled.Equal(day.End().Add(2*time.Hour)) && v.Settled.Sub(day.End()) > 3*time.Hour {
			e.Errorf("the day is settled %s, %v", v.Settled, err)
		}
		for _, content := range []string{"audio of gone", `"of gone"`, "of gone\"}"} {
			e.leftOver(content)
		}
		e.comesAgain(gone)
	})
}

// comesAgain sends the lines and the audio of an erased recording again.
func (e *erasing) comesAgain(gone domain.Recording) {
	e.Helper()
	fresh := e.recording("gone")
	count := func() (n int64) {
		e.Helper()
		e.must(e.c.DB().QueryRowContext(e.ctx, `SELECT coalesce(sum(recordings), 0) FROM erased_recordings WHERE tenant = $1`, tenant).Scan(&n))
		return n
	}
	if n := count(); n != 2 {
		e.Errorf("%d erased recordings are counted", n)
	}
	for range 2 {
		n, err := e.c.Register(e.ctx, tenant, catalog.Batch{Conversations: lines(conversation("gone")), Recordings: lines(gone, fresh), Messages: lines(e.message("gone"))})
		e.must(err)
		if n.Erased != 4 || n.Changed != 0 {
			e.Errorf("lines that come again: %+v", n)
		}
		if n := count(); n != 3 {
			e.Errorf("%d erased recordings are counted, with one that was never registered", n)
		}
	}
	for _, key := range []string{gone.ObjectKey, fresh.ObjectKey} {
		if known, err := e.c.ReserveUpload(e.ctx, tenant, key); err != nil || !known.Erased {
			e.Errorf("an upload of %s may be stored: %+v, %v", key, known, err)
		}
	}
	if n := e.rows("conversations"); n != 1 {
		e.Errorf("%d conversations", n)
	}
	other := e.recording("stays")
	other.ObjectKey = gone.ObjectKey
	if err := e.take(catalog.Batch{Recordings: lines(other)}); domain.KindOf(err) != domain.KindInvalid {
		e.Errorf("another conversation may name an erased key: %v", err)
	}
	id := "gone"
	if _, err := e.c.Correct(e.ctx, catalog.Correction{Tenant: tenant, ObjectKey: "calls/stays/3.opus", Reason: "r", ConversationID: &id}); domain.KindOf(err) != domain.KindInvalid && domain.KindOf(err) != domain.KindNotFound {
		e.Errorf("a correction gives a recording to it: %v", err)
	}
}

func (e *erasing) view(hour int) catalog.HourView {
	e.Helper()
	v, err := e.c.Day(e.ctx, tenant, day)
	e.must(err)
	return v.Hours[hour]
}

// rowsOf gives the rows of a conversation.
func (e *erasing) rowsOf(id string) string {
	e.Helper()
	var all []string
	for _, table := range []string{"conversations", "messages", "transcripts", "recordings", "objects", "history"} {
		for row := range strings.SplitSeq(e.dump()[table], "\n") {
			if strings.Contains(row, id) && !strings.Contains(row, "sha256") {
				all = append(all, row)
			}
		}
	}
	return strings.Join(all, "\n")
}

// What is unknown or held is not erased, and nothing is changed.
func TestErasureIsRefused(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		e.whole("a")
		e.whole("b")
		before := e.dump()
		_, err := e.ask("", "a")
		e.wantKind(err, domain.KindInvalid)
		_, err = e.ask("r")
		e.wantKind(err, domain.KindInvalid)
		_, err = e.ask("r", "a", "unknown")
		e.wantKind(err, domain.KindNotFound)
		if !maps.Equal(before, e.dump()) {
			e.Error("a refused order changed something")
		}
		var waited time.Duration
		for _, hold := range []holds.Order{
			{Name: "matter-1", Conversations: []string{"b"}}, {Name: "matter-2", From: day, To: day}, {Name: "matter-3", All: true},
		} {
			hold.Tenant, hold.Reason = tenant, "r"
			_, err := e.c.CreateHold(e.ctx, hold, audit.Origin{Actor: "admin"})
			e.must(err)
			_, err = e.ask("r", "a", "b")
			if e.wantKind(err, domain.KindConflict); !strings.Contains(err.Error(), hold.Name) {
				e.Errorf("it is refused with %v", err)
			}
			_, err = e.c.ReleaseHold(e.ctx, tenant, hold.Name, "r", audit.Origin{Actor: "admin"})
			e.must(err)
			waited += 25 * time.Hour // a released hold covers for one more day
			e.at(day.End().Add(waited))
		}
		if n := e.rows("conversations"); n != 2 || e.rows("erasures") != 0 {
			e.Errorf("%d conversations are left", n)
		}
	})
}

func (e *erasing) wantKind(err error, kind domain.Kind) {
	e.Helper()
	if domain.KindOf(err) != kind {
		e.Fatalf("got %v, want the kind %q", err, kind)
	}
}

// Conversations are found by their user, and by a phone number in any spelling.
func TestErasureOfPeople(t *testing.T) {
	f := newFixture(t, catalogtest.Open(t, "sqlite://"+t.TempDir()+"/c.db"))
	e := extend(f, objstoretest.MinIO(f))
	for id, phone := range map[string]string{"a": "+49 (30) 1234-56", "b": "sip:004930123456@host1.example", "c": "030123456", "d": ""} {
		c := conversation(id)
		c.CallerPhone, c.UserID, c.User = phone, "u-"+id[:1], json.RawMessage(`{"id":"u-`+id+`"}`)
		e.must(e.take(catalog.Batch{Conversations: lines(c)}))
	}
	ids, err := e.eraser.OfPhone(e.ctx, tenant, "tel:+4930123456")
	if err != nil || !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("by phone: %q, %v", ids, err)
	}
	ids, err = e.eraser.OfUser(e.ctx, tenant, "u-d")
	if err != nil || !slices.Equal(ids, []string{"d"}) {
		t.Errorf("by user: %q, %v", ids, err)
	}
	_, err = e.eraser.OfUser(e.ctx, tenant, "nobody")
	e.wantKind(err, domain.KindNotFound)
	_, err = e.eraser.OfPhone(e.ctx, tenant, "none")
	e.wantKind(err, domain.KindInvalid)
}

// A catalog that was restored from an older backup repeats the erasures that it lacks.
func TestErasureAfterARestore(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		e.whole("gone")
		e.whole("stays")
		e.at(day.End().Add(2 * time.Hour))
		e.plan()
		x, err := e.ask("r", "gone")
		e.must(err)
		e.finish(x.ID)
		// The restored catalog knows neither the order nor that the conversation was erased. The
		// bucket has an archive without a row.
		stray := domain.HourKey{Tenant: tenant, Day: day, Hour: 1}.ArchiveKey(keyPrefix, 9, "stray")
		_, err = e.archives.Put(e.ctx, stray, []byte("a former archive"), objstore.PutOptions{})
		e.must(err)
		for _, table := range []string{"erasures", "erasure_targets", "erasure_hours", "erased"} {
			_, err := e.c.DB().ExecContext(e.ctx, `DELETE FROM `+table)
			e.must(err)
		}
		e.must(e.take(catalog.Batch{Conversations: lines(conversation("gone"))}))
		if missing, err := e.eraser.Missing(e.ctx); err != nil || !slices.Equal(missing, []string{x.ID}) {
			e.Fatalf("missing: %q, %v", missing, err)
		}
		e.must(e.eraser.Repeat(e.ctx))
		if n := e.rows("conversations"); n != 1 {
			e.Errorf("%d conversations after it was repeated", n)
		}
		if missing, err := e.eraser.Missing(e.ctx); err != nil || len(missing) > 0 {
			e.Errorf("still missing: %q, %v", missing, err)
		}
		e.finish(x.ID)
		if there, err := e.archives.Exists(e.ctx, stray); err != nil || there {
			e.Errorf("the archive without a row is there: %v, %v", there, err)
		}
	})
}

// A lock of the store is no obstacle in governance mode. In compliance mode the copy is hidden, and
// the proof names the lock's end.
func TestErasureUnderALock(t *testing.T) {
	for _, mode := range []objstore.LockMode{objstore.Governance, objstore.Compliance} {
		t.Run(mode.String(), func(t *testing.T) {
			cfg := objstoretest.MinIO(t)
			cfg.Lock = mode
			c := catalogtest.OpenWith(t, catalogtest.Postgres(t), catalog.Rules{LockArchives: true})
			e := newErasing(t, c, cfg)
			e.whole("gone")
			e.whole("stays")
			e.at(day.End().Add(2 * time.Hour))
			e.plan()
			key := e.view(1).Archive.ObjectKey
			x, err := e.ask("r", "gone")
			e.must(err)
			x = e.finish(x.ID)
			there, err := e.archives.Exists(e.ctx, key)
			e.must(err)
			if locked := mode == objstore.Compliance; there != locked || (x.LockedUntil != nil) != locked || (len(x.Proof.Locked) == 1) != locked || (x.Gone == nil) != locked {
				t.Errorf("there: %v, locked until %v, proof %+v", there, x.LockedUntil, x.Proof)
			}
		})
	}
}

// Erasures are killed anywhere and run by two workers at once, beside lines and holds. Each ends, and
// nothing else changes.
func TestErasureIsKilled(t *testing.T) {
	c := catalogtest.Open(t, catalogtest.Postgres(t))
	e := newErasing(t, c, objstoretest.MinIO(t))
	const conversations = 6
	for i := range conversations {
		e.whole(fmt.Sprint("gone", i))
		e.whole(fmt.Sprint("stays", i))
	}
	e.at(day.End().Add(2 * time.Hour))
	e.plan()
	before, stays := e.files(1), e.rowsOf("stays")
	var ids []string
	for i := range conversations {
		ctx, kill := killed(e)
		x, err := e.eraser.Ask(ctx, lifecycle.ErasureRequest{Tenant: tenant, Conversations: []string{fmt.Sprint("gone", i)}, Reason: "r"})
		kill()
		if err == nil {
			ids = append(ids, x.ID)
		}
	}
	for range 30 {
		var workers sync.WaitGroup
		for range 2 {
			workers.Go(func() {
				ctx, kill := killed(e)
				defer kill()
				_ = e.eraser.Step(ctx)
				_, _ = e.sweeper.Sweep(ctx)
				_, _ = e.delete.Sweep(ctx)
			})
		}
		workers.Go(func() {
			_, _ = c.Register(e.ctx, tenant, catalog.Batch{Conversations: lines(conversation("gone0"), conversation("stays0"))})
		})
		workers.Wait()
		e.buildAll()
	}
	open, err := db.Collect(e.ctx, c.DB(), db.Value[string], `SELECT id FROM erasures ORDER BY id`)
	e.must(err)
	e.at(day.End().Add(6 * time.Hour)) // what failed is tried again
	for _, id := range open {
		e.finish(id)
	}
	for _, id := range ids {
		if !slices.Contains(open, id) {
			t.Errorf("the acknowledged order %s is lost", id)
		}
	}
	if len(open) < conversations { // the order itself was killed
		t.Logf("%d of %d were ordered", len(open), conversations)
	}
	after := e.files(1)
	maps.DeleteFunc(before, func(path, _ string) bool { return !strings.HasPrefix(path, "stays") })
	maps.DeleteFunc(after, func(path, _ string) bool { return !strings.HasPrefix(path, "stays") })
	if len(before) != conversations || !maps.Equal(before, after) {
		t.Errorf("%d recordings that stay became %d, or have other bytes", len(before), len(after))
	}
	if again := e.rowsOf("stays"); again != stays {
		t.Error("other rows changed")
	}
}

// killed gives a context that ends at a random time.
func killed(e *erasing) (ctx context.Context, kill func()) {
	return context.WithTimeout(e.ctx, time.Duration(rand.Int64N(int64(60*time.Millisecond))))
}
