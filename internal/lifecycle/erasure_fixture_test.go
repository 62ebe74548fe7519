package lifecycle_test

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
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
	f.addErasureKey()
	store := objstoretest.Open(f, cfg)
	f.bucket = store.Recordings()
	f.restart()
	log := zaptest.NewLogger(f)
	return &erasing{fixture: f, archives: store.Archives(),
		build:   worker.NewBuilder(worker.Config{Name: "w", Lock: cfg.Lock, Archive: archiver.Config{Tries: 2, Backoff: time.Millisecond}}, f.c, f.bucket, store.Archives(), time.Now, log),
		sweeper: lifecycle.NewSweeper(lifecycle.SweepConfig{}, f.c, f.bucket, store.Archives(), time.Now, log),
		eraser:  lifecycle.NewEraser(f.c, f.bucket, store.Archives(), keyPrefix, time.Now, log)}
}

// addErasureKey adds the key of the sums that keep out what was erased.
func (f *fixture) addErasureKey() {
	f.Helper()
	_, err := f.c.AddSigningKeys(f.ctx, []catalog.SigningKey{{ID: "k", Purpose: "erasure", Algorithm: "HS256", Material: []byte("key of erasures")}}, time.Hour)
	f.must(err)
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

// step runs once what workers run.
func (e *erasing) step() {
	e.Helper()
	e.buildAll()
	e.must(e.eraser.Step(e.ctx))
	_, err := e.sweeper.Sweep(e.ctx)
	e.must(err)
	e.deleteBytes()
}

// finish runs what workers run until an erasure is proven.
func (e *erasing) finish(id string) lifecycle.Erasure {
	e.Helper()
	for range 6 {
		e.step()
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

// dump gives every row of every table as text.
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

// leftOver fails if a text is in a table or in an object of both buckets. Orders and audit lines
// may have ids.
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
	if _, err := e.c.Correct(e.ctx, catalog.Correction{Tenant: tenant, ObjectKey: "calls/stays/3.opus", Reason: "r", ConversationID: &id}); domain.KindOf(err) != domain.KindInvalid {
		e.Errorf("a correction gives a recording to it: %v", err)
	}
}

// archivedTwo archives an hour with the conversations "gone" and "stays", and gives their
// recordings.
func (e *erasing) archivedTwo() (gone, stays domain.Recording) {
	e.Helper()
	gone, stays = e.whole("gone"), e.whole("stays")
	e.at(day.End().Add(2 * time.Hour))
	e.plan()
	return gone, stays
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

// wantKind ends the test unless an error is of a kind.
func (e *erasing) wantKind(err error, kind domain.Kind) {
	e.Helper()
	if domain.KindOf(err) != kind {
		e.Fatalf("got %v, want the kind %q", err, kind)
	}
}

// killed gives a context that ends at a random time.
func killed(e *erasing) (ctx context.Context, kill func()) {
	return context.WithTimeout(e.ctx, time.Duration(rand.Int64N(int64(60*time.Millisecond))))
}
