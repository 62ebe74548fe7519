package lifecycle_test

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
)

// threeQueued gives the keys of three objects that are to be deleted.
func (f *fixture) threeQueued() (keys []string) {
	f.Helper()
	for _, id := range []string{"c-1", "c-2", "c-3"} {
		keys = append(keys, f.whole(id).ObjectKey)
	}
	f.retire()
	f.sweep()
	return keys
}

// tries counts the failures of all objects in the outbox.
func (f *fixture) tries() (n int) {
	f.Helper()
	f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT coalesce(sum(tries), 0) FROM deletions`).Scan(&n))
	return n
}

// TestDeleterPastARefusal: an object that the store refuses to delete is told and counted, is tried
// again an hour later, and holds up no other one.
func TestDeleterPastARefusal(t *testing.T) {
	onBoth(t, func(f *fixture) {
		keys := f.threeQueued()
		bucket := &faultyBucket{f.bucket, under(denied, keys[0])}
		refused := 0
		core, logs := observer.New(zapcore.ErrorLevel)
		deleter := lifecycle.NewDeleter(lifecycle.DeleterConfig{OnRefused: func() { refused++ }}, f.c.DB(), bucket, zap.New(core))
		for _, pass := range []struct {
			after time.Duration
			want  lifecycle.DeleterReport
		}{
			{time.Minute, lifecycle.DeleterReport{Deleted: 2, Refused: 1}},
			{60 * time.Minute, lifecycle.DeleterReport{}},
			{62 * time.Minute, lifecycle.DeleterReport{Refused: 1}},
		} {
			f.at(ended().Add(pass.after))
			if r, err := deleter.Sweep(f.ctx); err != nil || r != pass.want {
				f.Errorf("after %s: %+v, %v; want %+v", pass.after, r, err, pass.want)
			}
			if pass.want.Refused > 0 {
				f.adviceIn(logs)
			}
		}
		f.isThere(keys[0], "audio of c-1")
		bucket.fail = under(denied)
		f.at(ended().Add(3 * time.Hour))
		if r, err := deleter.Sweep(f.ctx); err != nil || r.Deleted != 1 || refused != 2 {
			f.Errorf("after the refusal ended: %+v, %v; %d refusals were counted, want 2", r, err, refused)
		}
		f.isThere(keys[0], "")
		f.nothingLeft()
	})
}

// TestDeleterInAnOutage: a store that does not answer ends the pass. Only the object that was tried
// has failed, nothing is counted as refused, and all go later.
func TestDeleterInAnOutage(t *testing.T) {
	onBoth(t, func(f *fixture) {
		keys := f.threeQueued()
		bucket := &faultyBucket{f.bucket, under(outage, "")}
		refused := 0
		deleter := lifecycle.NewDeleter(lifecycle.DeleterConfig{Parallel: 1, OnRefused: func() { refused++ }}, f.c.DB(), bucket, zap.NewNop())
		if r, err := deleter.Sweep(f.ctx); domain.KindOf(err) != domain.KindUnavailable || r != (lifecycle.DeleterReport{}) || f.tries() != 1 || refused > 0 {
			f.Errorf("%+v, %v; %d failures and %d refusals were counted, want 1 and 0", r, err, f.tries(), refused)
		}
		bucket.fail = under(outage)
		f.at(ended().Add(2 * time.Minute))
		if r, err := deleter.Sweep(f.ctx); err != nil || r.Deleted != len(keys) {
			f.Errorf("after the outage: %+v, %v", r, err)
		}
		f.nothingLeft()
	})
}
