package lifecycle_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
)

// TestEndsRace ends conversations by two workers that are stopped at random moments. Meanwhile
// their lines and audio come again, and holds come and go. Each conversation is whole or gone, what
// is acknowledged has its bytes, and what was held all the time is there.
func TestEndsRace(t *testing.T) {
	const conversations = 12
	onBoth(t, func(f *fixture) {
		recs := map[string]domain.Recording{}
		for i := range conversations {
			id := fmt.Sprintf("c-%d", i)
			recs[id] = f.recording(id)
		}
		messages := map[string]domain.Message{}
		for id := range recs {
			m := f.message(id)
			m.ID = "m-" + id
			messages[id] = m
		}
		send := func(id string) error {
			err := f.take(catalog.Batch{Conversations: lines(conversation(id)), Recordings: lines(recs[id]), Messages: lines(messages[id])})
			if err == nil {
				err = f.upload(recs[id].ObjectKey, "audio of "+id)
			}
			return err
		}
		for id := range recs {
			f.must(send(id))
		}
		f.hold("always", "c-0")
		f.retire()
		var work sync.WaitGroup
		stop := time.Now().Add(4 * time.Second)
		loop := func(do func(ctx context.Context)) {
			work.Go(func() {
				for time.Now().Before(stop) {
					ctx, cancel := context.WithTimeout(f.ctx, time.Duration(rand.IntN(60))*time.Millisecond)
					do(ctx)
					cancel()
				}
			})
		}
		for range 2 {
			ends := lifecycle.NewEnds(lifecycle.EndsConfig{Page: 5, Together: 3, Most: 4}, f.c.DB(), f.c, f.bucket, time.Now, zap.NewNop())
			deleter := lifecycle.NewDeleter(lifecycle.DeleterConfig{Batch: 3}, f.c.DB(), f.bucket, zap.NewNop())
			loop(func(ctx context.Context) { _, _ = ends.Sweep(ctx) })
			loop(func(ctx context.Context) { _, _ = deleter.Sweep(ctx) })
		}
		loop(func(context.Context) {
			err := send(fmt.Sprintf("c-%d", rand.IntN(conversations)))
			switch domain.KindOf(err) {
			case "", domain.KindEnding, domain.KindConflict:
			default:
				f.Errorf("lines and audio that come again: %v", err)
			}
		})
		clock := ended()
		loop(func(context.Context) { // what came again is old enough a day later
			clock = clock.Add(25 * time.Hour)
			f.at(clock)
			time.Sleep(100 * time.Millisecond)
		})
		work.Wait()
		f.finish(clock)
		if f.lastDetail(lifecycle.ActionEnd) == nil || f.lastDetail(lifecycle.ActionDeleted) == nil {
			f.Error("nothing has ended")
		}
		f.isThere(recs["c-0"].ObjectKey, "audio of c-0")
		f.wholeOrGone()
	})
}

// A day is not opened again while a transaction decides that conversations end, because of the
// day's end.
func TestReopenWaitsForEnds(t *testing.T) {
	f := newArchived(t)
	f.at(ended())
	f.endDay()
	f.must(f.c.DB().Update(f.ctx, func(tx *db.Tx) error {
		f.must(holds.Share(f.ctx, tx, tenant))
		ctx, cancel := context.WithTimeout(f.ctx, 2*time.Second)
		defer cancel()
		if err := f.c.Reopen(ctx, tenant, day, audit.Origin{Actor: "command"}); err == nil || ctx.Err() == nil {
			f.Errorf("it did not wait: %v", err)
		}
		return nil
	}))
	f.must(f.c.Reopen(f.ctx, tenant, day, audit.Origin{Actor: "command"}))
}

// wholeOrGone fails if something is left of a conversation that has ended, or if an object that was
// acknowledged has no bytes.
func (f *fixture) wholeOrGone() {
	for what, query := range map[string]string{
		"conversations that are not whole": `SELECT count(*) FROM conversations c WHERE tenant = $1 AND NOT (
			EXISTS (SELECT 1 FROM messages m WHERE m.tenant = c.tenant AND m.conversation_id = c.id)
			AND EXISTS (SELECT 1 FROM recordings r WHERE r.tenant = c.tenant AND r.conversation_id = c.id)
			AND EXISTS (SELECT 1 FROM transcripts t WHERE t.tenant = c.tenant AND t.conversation_id = c.id))`,
		"recordings without a conversation": `SELECT count(*) FROM recordings r WHERE tenant = $1 AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tenant = r.tenant AND c.id = r.conversation_id)`,
		"messages without a conversation":   `SELECT count(*) FROM messages m WHERE tenant = $1 AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tenant = m.tenant AND c.id = m.conversation_id)`,
		"recordings without their object":   `SELECT count(*) FROM recordings r WHERE tenant = $1 AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.key = r.object_key AND o.day = r.day)`,
		"unfinished ends":                   `SELECT count(*) FROM endings WHERE tenant = $1`,
	} {
		var n int
		f.must(f.c.DB().QueryRowContext(f.ctx, query, tenant).Scan(&n))
		if n > 0 {
			f.Errorf("there are %d %s", n, what)
		}
	}
	acknowledged, err := db.Collect(f.ctx, f.c.DB(), db.Value[string], `SELECT key FROM objects WHERE tenant = $1 AND size IS NOT NULL`, tenant)
	f.must(err)
	for _, key := range acknowledged {
		if _, err := f.bucket.Stat(f.ctx, key); err != nil {
			f.Errorf("%s was acknowledged, and its bytes: %v", key, err)
		}
	}
}

// hold makes a hold over a conversation.
func (f *fixture) hold(name, conversation string) {
	f.Helper()
	f.must(f.c.DB().Update(f.ctx, func(tx *db.Tx) error {
		if err := holds.Exclude(f.ctx, tx, tenant); err != nil {
			return err
		}
		_, _, err := holds.Create(f.ctx, tx, holds.Order{Tenant: tenant, Name: name, Reason: "a suit", Conversations: []string{conversation}}, audit.Origin{Actor: "command"})
		return err
	}))
}

// finish lets what was begun be done, also what a stopped deleter had claimed.
func (f *fixture) finish(clock time.Time) {
	f.Helper()
	for range 3 {
		clock = clock.Add(time.Hour)
		f.at(clock)
		for more := true; more; {
			r, err := f.ends.Sweep(f.ctx)
			f.must(err)
			more = r.More
		}
		f.deleteBytes()
	}
}
