package lifecycle_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
)

// lateBucket calls a function once, after an object was looked up for the first time.
type lateBucket struct {
	*objstore.Bucket
	once sync.Once
	then func()
}

func (b *lateBucket) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := b.Bucket.Stat(ctx, key)
	b.once.Do(b.then)
	return info, err
}

// check reports an error from any goroutine.
func (f *fixture) check(err error) {
	f.Helper()
	if err != nil {
		f.Error(err)
	}
}

// Audio that is stored after its recording's object was looked up, and before the recording ends,
// is deleted too.
func TestEndsDeleteLateAudio(t *testing.T) {
	onBoth(t, func(f *fixture) {
		rec := f.recording("c-1")
		f.must(f.take(catalog.Batch{Conversations: lines(conversation("c-1")), Recordings: lines(rec)}))
		f.retire()
		late := &lateBucket{Bucket: f.bucket, then: func() { f.check(f.upload(rec.ObjectKey, "late")) }}
		f.ends = lifecycle.NewEnds(lifecycle.EndsConfig{}, f.c.DB(), f.c, late, time.Now, zaptest.NewLogger(t))
		f.sweep()
		f.deleteBytes()
		f.nothingLeft()
		f.isThere(rec.ObjectKey, "")
	})
}

// The same for an erasure, whose proof counts it.
func TestErasureDeletesLateAudio(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		rec := e.recording("gone")
		e.must(e.take(catalog.Batch{Conversations: lines(conversation("gone")), Recordings: lines(rec)}))
		late := &lateBucket{Bucket: e.bucket, then: func() { e.check(e.upload(rec.ObjectKey, "late")) }}
		e.eraser = lifecycle.NewEraser(e.c, late, e.archives, keyPrefix, time.Now, zaptest.NewLogger(t))
		x, err := e.ask("r", "gone")
		e.must(err)
		if x = e.finish(x.ID); x.Proof.Recordings.Deleted != 1 {
			e.Errorf("the proof is %+v", x.Proof)
		}
		e.isThere(rec.ObjectKey, "")
	})
}

// A conversation gets another recording of its own after its objects were looked up. That one is
// erased too.
func TestErasureDeletesLateOwnRecording(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		rec := e.whole("gone")
		owns := conversation("gone")
		owns.RecordingKey = "whole/late.webm"
		e.must(e.upload(owns.RecordingKey, "late"))
		late := &lateBucket{Bucket: e.bucket, then: func() { e.check(e.take(catalog.Batch{Conversations: lines(owns)})) }}
		e.eraser = lifecycle.NewEraser(e.c, late, e.archives, keyPrefix, time.Now, zaptest.NewLogger(t))
		x, err := e.ask("r", "gone")
		e.must(err)
		e.finish(x.ID)
		e.isThere(rec.ObjectKey, "")
		e.isThere(owns.RecordingKey, "")
		if known, err := e.c.ReserveUpload(e.ctx, tenant, owns.RecordingKey); err != nil || !known.Erased {
			e.Errorf("its key may be stored again: %+v, %v", known, err)
		}
	})
}

// A process was killed after it had stored audio that an erasure did not find, and before it told
// the catalog. The audio is deleted when it is sent again. What is the platform's stays.
func TestErasedAudioOfAKilledUpload(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		rec, platforms := e.recording("gone"), e.recording("gone")
		e.must(e.take(catalog.Batch{Conversations: lines(conversation("gone")), Recordings: lines(rec, platforms)}))
		e.platformPut(platforms.ObjectKey, "of the platform")
		x, err := e.ask("r", "gone")
		e.must(err)
		e.finish(x.ID)
		e.put(rec.ObjectKey, "left")
		for key, text := range map[string]string{rec.ObjectKey: "left", platforms.ObjectKey: "of the platform"} {
			known, err := e.c.ReserveUpload(e.ctx, tenant, key)
			e.must(err)
			again := e.put(key, text)
			again.Since = known.Since
			e.must(e.c.RegisterUpload(e.ctx, tenant, again))
		}
		e.deleteBytes()
		e.isThere(rec.ObjectKey, "")
		e.isThere(platforms.ObjectKey, "of the platform")
	})
}

// Other bytes that were written under the key of an erased recording stay, and the proof names the
// key as left.
func TestErasureProofNamesNewBytes(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		key := e.whole("gone").ObjectKey
		x, err := e.ask("r", "gone")
		e.must(err)
		e.platformPut(key, "newly written")
		x = e.finish(x.ID)
		if n := x.Proof.Recordings.Deleted; n != 0 || !slices.Equal(x.Proof.Left, []string{key}) {
			e.Errorf("the proof is %+v", x.Proof)
		}
		e.isThere(key, "newly written")
	})
}
