package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// theirs fails unless another tenant is refused a key in each kind of line and as an upload.
func (f *fixture) theirs(when, key string) {
	f.Helper()
	other, whole := f.recording("b-1"), conversation("b-2")
	other.ObjectKey, whole.RecordingKey = key, key
	_, recording := f.c.Register(f.ctx, "beta", catalog.Batch{Recordings: lines(other)})
	_, conversation := f.c.Register(f.ctx, "beta", catalog.Batch{Conversations: lines(whole)})
	_, upload := f.c.ReserveUpload(f.ctx, "beta", key)
	for what, err := range map[string]error{"a recording": recording, "a conversation": conversation, "an upload": upload} {
		if domain.KindOf(err) != domain.KindInvalid || !strings.Contains(err.Error(), "not this tenant's") {
			f.Errorf("%s: %s of another tenant: error %v", when, what, err)
		}
	}
}

// No other tenant may name a key whose bytes stayed in the bucket, also after the key's tenant was
// deleted. That tenant itself may name it again.
func TestLeftObjectsStayTheirs(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.createTenant("beta")
		rec := f.recording("c-1")
		rewritten := f.whole("c-1").ObjectKey
		f.must(f.take(catalog.Batch{Conversations: lines(conversation("c-1")), Recordings: lines(rec)}))
		f.platformPut(rec.ObjectKey, "of the platform")
		f.retire()
		f.sweep()
		f.theirs("after the end", rec.ObjectKey)
		f.platformPut(rewritten, "new bytes of the platform")
		f.deleteBytes()
		f.theirs("after new bytes were written", rewritten)
		whole := conversation("c-2")
		whole.RecordingKey = rec.ObjectKey
		f.must(f.take(catalog.Batch{Conversations: lines(whole)}))
		f.at(ended().Add((retention + 2) * 24 * time.Hour))
		f.endDay()
		f.restart()
		f.sweep()
		f.nothingLeft()
		_, err := f.c.CloseTenant(f.ctx, tenant, "it left", audit.Origin{})
		f.must(err)
		f.must(f.c.DeleteTenant(f.ctx, tenant, audit.Origin{}))
		f.theirs("after the tenant was deleted", rec.ObjectKey)
		f.isThere(rec.ObjectKey, "of the platform")
	})
}

// TestErasedObjectsStayTheirs: the same after an erasure.
func TestErasedObjectsStayTheirs(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		e.createTenant("beta")
		rec := e.recording("c-1")
		e.must(e.take(catalog.Batch{Conversations: lines(conversation("c-1")), Recordings: lines(rec)}))
		e.platformPut(rec.ObjectKey, "of the platform")
		e.at(day.End().Add(2 * time.Hour))
		e.plan()
		x, err := e.ask("r", "c-1")
		e.must(err)
		e.finish(x.ID)
		e.theirs("after the erasure", rec.ObjectKey)
	})
}

// TestUploadAfterAnOldReservation: an upload did not end. Another one of its key, later than the
// source retention, is as old as itself.
func TestUploadAfterAnOldReservation(t *testing.T) {
	onBoth(t, func(f *fixture) {
		_, err := f.c.ReserveUpload(f.ctx, tenant, "calls/late.opus")
		f.must(err)
		f.at(ended())
		f.must(f.upload("calls/late.opus", "audio"))
		f.sweep()
		f.deleteBytes()
		f.isThere("calls/late.opus", "audio")
	})
}
