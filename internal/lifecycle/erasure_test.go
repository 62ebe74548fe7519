package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

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
		if p := x.Proof; p.Recordings.Deleted != 1 || p.Archives.Deleted != 1 || len(p.Archives.SHA256) != 1 || len(p.Left) != 1 || p.Left[0] != platform.ObjectKey || len(p.Hours) != 1 || p.Hours[0].Hour != "01" || x.Gone == nil {
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

// A call that was transferred is the recording of two conversations. Lines of the erased one that
// come again leave it to the other.
func TestErasureLeavesAnothersAudio(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		const key = "calls/transferred.opus"
		gone, stays := conversation("gone"), conversation("stays")
		gone.RecordingKey, stays.RecordingKey = key, key
		e.must(e.take(catalog.Batch{Conversations: lines(gone, stays)}))
		e.must(e.upload(key, "audio of both"))
		x, err := e.ask("r", "gone")
		e.must(err)
		e.finish(x.ID)
		for range 2 {
			e.must(e.take(catalog.Batch{Conversations: lines(gone)}))
		}
		if named, err := e.c.NamesObject(e.ctx, tenant, key); err != nil || !named {
			e.Errorf("the audio of the conversation that stays is named: %t, %v", named, err)
		}
		if n := e.rows("deletions"); n != 0 {
			e.Errorf("%d deletions are queued", n)
		}
		stays.Status = "done"
		e.must(e.take(catalog.Batch{Conversations: lines(stays)}))
	})
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

// More conversations than one order erases become several orders. None is made if one of them is
// unknown.
func TestErasureOfMany(t *testing.T) {
	f := newFixture(t, catalogtest.Open(t, "sqlite://"+t.TempDir()+"/c.db"))
	e := extend(f, objstoretest.MinIO(f))
	var b catalog.Batch
	r := lifecycle.ErasureRequest{Tenant: tenant, Reason: "r"}
	for i := range lifecycle.MaxErased + 1 {
		r.Conversations = append(r.Conversations, fmt.Sprint("c-", i))
		b.Conversations = append(b.Conversations, lines(conversation(r.Conversations[i]))...)
	}
	e.must(e.take(b))
	unknown := r
	unknown.Conversations = append(slices.Clone(r.Conversations), "unknown")
	orders, err := e.eraser.AskAll(e.ctx, unknown)
	if e.wantKind(err, domain.KindNotFound); len(orders) != 0 || e.rows("erasures") != 0 {
		t.Errorf("there are %d orders", e.rows("erasures"))
	}
	orders, err = e.eraser.AskAll(e.ctx, r)
	e.must(err)
	if len(orders) != 2 || len(orders[0].Conversations) != lifecycle.MaxErased || len(orders[1].Conversations) != 1 || e.rows("conversations") != 0 {
		t.Errorf("%d orders, %d conversations are left", len(orders), e.rows("conversations"))
	}
}

// A catalog that was restored from an older backup repeats the erasures that it lacks.
func TestErasureAfterARestore(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		e.archivedTwo()
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
		if missing, err := lifecycle.MissingErasures(e.ctx, e.c.DB(), e.archives, keyPrefix); err != nil || !slices.Equal(missing, []string{x.ID}) {
			e.Fatalf("missing: %q, %v", missing, err)
		}
		e.must(e.eraser.Repeat(e.ctx))
		if n := e.rows("conversations"); n != 1 {
			e.Errorf("%d conversations after it was repeated", n)
		}
		if missing, err := lifecycle.MissingErasures(e.ctx, e.c.DB(), e.archives, keyPrefix); err != nil || len(missing) > 0 {
			e.Errorf("still missing: %q, %v", missing, err)
		}
		e.finish(x.ID)
		if there, err := e.archives.Exists(e.ctx, stray); err != nil || there {
			e.Errorf("the archive without a row is there: %v, %v", there, err)
		}
		if d := e.lastDetail(catalog.ActionArchiveDelete); d["objectKey"] != stray || d["cause"] != "erasure" || d["hour"] != "01" {
			e.Errorf("the audit log tells %v of it", d)
		}
	})
}

// Erasures are killed anywhere and run by two workers at once, beside lines and holds. Each ends,
// and nothing else changes.
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
