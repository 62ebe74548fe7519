package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
)

// keepingBucket refuses to erase the keys that end in a text.
type keepingBucket struct {
	*objstore.Bucket
	end string
}

func (b *keepingBucket) Erase(ctx context.Context, key string) error {
	if strings.HasSuffix(key, b.end) {
		return denied()
	}
	return b.Bucket.Erase(ctx, key)
}

// TestErasurePastARefusal: the store does not let one conversation's objects be looked up, and
// refuses to delete an archive. Neither holds up the rest of an erasure: that conversation is
// hidden too, and its audio is deleted as soon as the store lets that be done.
func TestErasurePastARefusal(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		refused := e.whole("c-1").ObjectKey
		e.whole("c-2")
		e.at(day.End().Add(2 * time.Hour))
		e.plan()
		hour := domain.HourKey{Tenant: tenant, Day: day, Hour: 1}
		kept, other := hour.ArchiveKey(keyPrefix, 8, "kept"), hour.ArchiveKey(keyPrefix, 9, "other")
		for _, key := range []string{kept, other} {
			_, err := e.archives.Put(e.ctx, key, []byte("a former archive"), objstore.PutOptions{})
			e.must(err)
		}
		sources, archives := &faultyBucket{e.bucket, under(denied, "calls/c-1/")}, &keepingBucket{e.archives, kept}
		e.eraser = lifecycle.NewEraser(e.c, sources, archives, keyPrefix, time.Now, zaptest.NewLogger(t))
		x, err := e.ask("by order", "c-1", "c-2")
		e.must(err)
		if err := e.eraser.Step(e.ctx); err != nil || e.rows("conversations") != 0 {
			e.Errorf("%d conversations are left; error %v", e.rows("conversations"), err)
		}
		sources.fail = under(denied)
		for range 3 {
			_ = e.eraser.Step(e.ctx)
			e.buildAll()
			_, err := e.sweeper.Sweep(e.ctx)
			e.must(err)
			e.deleteBytes()
		}
		if there, err := e.archives.Exists(e.ctx, other); err != nil || there {
			e.Errorf("the object after the refused one is there: %t, %v", there, err)
		}
		archives.end = "none"
		if x = e.finish(x.ID); x.Proof.Recordings.Deleted != 2 || len(x.Proof.Left) != 0 {
			e.Errorf("the proof is %+v", x.Proof)
		}
		e.isThere(refused, "")
	})
}

// TestRechecksPastARefusal: the store does not let the missing files of one hour be looked up. That
// does not keep those of others from being found.
func TestRechecksPastARefusal(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		e.whole("c-1")
		refused, comes, there := e.recording("c-1"), e.recording("c-2"), e.recording("c-2")
		for _, r := range []*domain.Recording{&comes, &there} {
			r.Timestamp = r.Timestamp.Add(time.Hour)
		}
		e.must(e.take(catalog.Batch{Conversations: lines(conversation("c-2")), Recordings: lines(refused, comes, there)}))
		e.platformPut(there.ObjectKey, "there")
		e.at(day.End().Add(2 * time.Hour))
		e.plan()
		e.platformPut(comes.ObjectKey, "late")
		sources := &faultyBucket{e.bucket, under(denied, "calls/c-1/")}
		e.sweeper = lifecycle.NewSweeper(lifecycle.SweepConfig{Batch: 1}, e.c, sources, e.archives, time.Now, zaptest.NewLogger(t))
		e.at(day.End().Add(3 * time.Hour))
		back := 0
		for range 3 {
			r, _ := e.sweeper.Sweep(e.ctx)
			back += r.Back
		}
		if back != 1 {
			e.Errorf("%d hours have their missing file back", back)
		}
	})
}
