package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
)

const advice = "allow it"

// denied is a refusal of one object, as a store gives it.
func denied() error { return objstore.Denial(errors.New("AccessDenied"), advice) }

func outage() error { return domain.Errorf(domain.KindUnavailable, "no answer came") }

// faultyBucket fails for the keys for which fail gives an error.
type faultyBucket struct {
	*objstore.Bucket
	fail func(key string) error
}

func (b *faultyBucket) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if err := b.fail(key); err != nil {
		return objstore.Info{}, err
	}
	return b.Bucket.Stat(ctx, key)
}

func (b *faultyBucket) RemoveMatch(ctx context.Context, key string, m objstore.Match) error {
	if err := b.fail(key); err != nil {
		return err
	}
	return b.Bucket.RemoveMatch(ctx, key, m)
}

// under gives a failure for the keys that begin with one of the prefixes.
func under(failure func() error, prefixes ...string) func(key string) error {
	return func(key string) error {
		for _, p := range prefixes {
			if strings.HasPrefix(key, p) {
				return failure()
			}
		}
		return nil
	}
}

// endsOver makes an Ends over a bucket, and gives what it logs as errors.
func (f *fixture) endsOver(bucket *faultyBucket) (*lifecycle.Ends, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.ErrorLevel)
	return lifecycle.NewEnds(lifecycle.EndsConfig{Page: 3, Together: 2, Most: 4}, f.c.DB(), f.c, bucket, time.Now, zap.New(core)), logs
}

// adviceIn fails unless the only error in a log has the store's advice.
func (f *fixture) adviceIn(logs *observer.ObservedLogs) {
	f.Helper()
	all := logs.TakeAll()
	if len(all) != 1 || all[0].ContextMap()["hint"] != advice {
		f.Errorf("logged %+v, want one error with the advice", all)
	}
}

// queued lists the keys in the outbox.
func (f *fixture) queued() string {
	f.Helper()
	var keys string
	f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT coalesce(string_agg(key, ' ' ORDER BY key), '') FROM deletions`).Scan(&keys))
	return keys
}

// TestUploadsEndPastARefusal: an upload that the store does not let be looked up stays and is told.
// Other uploads, and other tenants, do not wait for it.
func TestUploadsEndPastARefusal(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.createTenant("beta")
		for _, key := range []string{"lone/1.opus", "lone/2.opus"} {
			f.must(f.upload(key, "old"))
		}
		f.must(f.uploadOf("beta", "theirs/1.opus", "old"))
		f.at(ended())
		bucket := &faultyBucket{f.bucket, under(denied, "lone/1")}
		ends, logs := f.endsOver(bucket)
		r, err := ends.Sweep(f.ctx)
		f.must(err)
		if got := f.queued(); r.Blocked != 1 || got != "lone/2.opus theirs/1.opus" {
			f.Errorf("%d are blocked, queued are %s", r.Blocked, got)
		}
		f.adviceIn(logs)
		bucket.fail = under(denied)
		if _, err := ends.Sweep(f.ctx); err != nil || f.queued() != "lone/1.opus lone/2.opus theirs/1.opus" {
			f.Errorf("after the refusal ended, queued are %s, %v", f.queued(), err)
		}
	})
}

// TestEndsGoOnPastARefusal: conversations whose objects the store does not let be looked up can't
// be removed whole. They do not hold up the rest of others.
func TestEndsGoOnPastARefusal(t *testing.T) {
	onBoth(t, func(f *fixture) {
		for _, id := range []string{"c-1", "c-2", "c-3"} {
			var recs []domain.Recording
			for range 5 {
				recs = append(recs, f.recording(id))
			}
			f.must(f.take(catalog.Batch{Conversations: lines(conversation(id)), Recordings: lines(recs...)}))
		}
		f.retire()
		bucket := &faultyBucket{f.bucket, under(denied)}
		ends, logs := f.endsOver(bucket)
		if _, err := ends.Sweep(f.ctx); err != nil || f.rows("endings") != 3 {
			f.Fatalf("%d conversations are ending, want 3: %v", f.rows("endings"), err)
		}
		bucket.fail = under(denied, "calls/c-1/", "calls/c-2/")
		for range 3 {
			_, err := ends.Sweep(f.ctx)
			f.must(err)
		}
		if n := f.rows("endings"); n != 2 {
			f.Errorf("%d conversations are ending, want the 2 that are refused", n)
		}
		if logs.Len() == 0 {
			f.Error("the refusals are not told")
		}
	})
}

// TestEndsAfterAnOutage: what a pass did not come to, because the store did not answer, ends in the
// next one.
func TestEndsAfterAnOutage(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.must(f.upload("lone/1.opus", "old"))
		f.whole("c-1")
		f.retire()
		bucket := &faultyBucket{f.bucket, under(outage, "lone/")}
		ends, _ := f.endsOver(bucket)
		if r, err := ends.Sweep(f.ctx); domain.KindOf(err) != domain.KindUnavailable || r.Blocked != 0 {
			f.Errorf("an outage: %+v, %v", r, err)
		}
		bucket.fail = under(outage)
		if r, err := ends.Sweep(f.ctx); err != nil || r.Conversations != 1 || f.rows("deletions") != 2 {
			f.Errorf("after it: %+v, %d queued, %v", r, f.rows("deletions"), err)
		}
	})
}
