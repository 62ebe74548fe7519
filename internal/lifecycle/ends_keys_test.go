package lifecycle_test

import (
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
)

// TestEndsDeleteOwnUploads: without a key prefix only what callvault wrote is deleted from the
// bucket.
func TestEndsDeleteOwnUploads(t *testing.T) {
	onBoth(t, func(f *fixture) {
		own := f.whole("c-1").ObjectKey
		foreign, absent, replaced := f.recording("c-1"), f.recording("c-1"), f.recording("c-1")
		f.must(f.take(catalog.Batch{Recordings: lines(foreign, absent, replaced)}))
		f.platformPut(foreign.ObjectKey, "of the platform")
		f.must(f.upload(replaced.ObjectKey, "of callvault"))
		f.platformPut(replaced.ObjectKey, "of platform!") // as many bytes
		f.retire()
		f.sweep()
		d := f.lastDetail(lifecycle.ActionEnd)
		if d["objects"] != 1.0 || d["kept"] != 2.0 || d["missing"] != 1.0 {
			f.Errorf("the audit log tells %v", d)
		}
		if r := f.deleteBytes(); r.Deleted != 1 {
			f.Errorf("deleted %+v, want 1", r)
		}
		f.nothingLeft()
		f.isThere(own, "")
		f.isThere(foreign.ObjectKey, "of the platform")
		f.isThere(replaced.ObjectKey, "of platform!")
	})
}

// TestEndsDeleteUnderPrefix: under the tenant's key prefix all is its own.
func TestEndsDeleteUnderPrefix(t *testing.T) {
	onBoth(t, func(f *fixture) {
		_, err := f.c.SetTenant(f.ctx, tenant, func(t *domain.Tenant) { t.KeyPrefix = "calls/" }, audit.Origin{})
		f.must(err)
		rec := f.recording("c-1")
		f.must(f.take(catalog.Batch{Conversations: lines(conversation("c-1")), Recordings: lines(rec)}))
		f.platformPut(rec.ObjectKey, "of the platform")
		f.retire()
		f.sweep()
		f.deleteBytes()
		f.nothingLeft()
		f.isThere(rec.ObjectKey, "")
	})
}

// TestEndsWaitAfterAPrefix: a new key prefix lets objects end that callvault did not write. Nothing
// ends within a day of it.
func TestEndsWaitAfterAPrefix(t *testing.T) {
	onBoth(t, func(f *fixture) {
		rec := f.recording("c-1")
		f.must(f.take(catalog.Batch{Conversations: lines(conversation("c-1")), Recordings: lines(rec)}))
		f.platformPut(rec.ObjectKey, "of the platform")
		f.retire()
		_, err := f.c.SetTenant(f.ctx, tenant, func(t *domain.Tenant) { t.KeyPrefix = "calls/" }, audit.Origin{})
		f.must(err)
		for waited, want := range []int{0, 1} {
			f.at(ended().Add(time.Duration(waited) * 25 * time.Hour))
			f.restart()
			if r := f.sweep(); r.Conversations != want {
				f.Errorf("after %d days %+v have ended", waited, r)
			}
		}
	})
}

// TestEndsSharedObjects: an object goes when the last of those that name it ends, and a
// conversation's former recording goes with it.
func TestEndsSharedObjects(t *testing.T) {
	onBoth(t, func(f *fixture) {
		rec := f.whole("c-1")
		with := conversation("c-1")
		with.RecordingKey = rec.ObjectKey // its own recording as well
		f.must(f.take(catalog.Batch{Conversations: lines(with)}))
		later := day.End().Add(3 * 24 * time.Hour)
		shares := conversation("c-2")
		shares.RecordingKey, shares.LastAction = rec.ObjectKey, &later
		f.must(f.take(catalog.Batch{Conversations: lines(shares)}))
		changed := conversation("c-3")
		for _, key := range []string{"whole/former.webm", "whole/present.webm"} {
			changed.RecordingKey = key
			f.must(f.take(catalog.Batch{Conversations: lines(changed)}))
			f.must(f.upload(key, "bytes of "+key))
		}
		f.retire()
		f.sweep()
		f.deleteBytes()
		f.isThere(rec.ObjectKey, "audio of c-1")
		f.isThere("whole/former.webm", "")
		f.isThere("whole/present.webm", "")
		if n := f.rows("objects"); n != 1 {
			f.Errorf("%d objects are known, want the one that c-2 names", n)
		}
		f.at(ended().Add(4 * 24 * time.Hour))
		f.restart()
		f.sweep()
		f.deleteBytes()
		f.nothingLeft()
		f.isThere(rec.ObjectKey, "")
	})
}

// TestEndsSharedKeyIsNamedAnew: a recording ends whose key a conversation names too. Then another
// recording, of a later day, has the key. Its audio stays when that conversation ends.
func TestEndsSharedKeyIsNamedAnew(t *testing.T) {
	onBoth(t, func(f *fixture) {
		rec := f.whole("c-1")
		later := day.End().Add(3 * 24 * time.Hour)
		shares := conversation("c-2")
		shares.RecordingKey, shares.LastAction = rec.ObjectKey, &later
		f.must(f.take(catalog.Batch{Conversations: lines(shares)}))
		f.retire()
		f.sweep()
		anew := f.recording("c-3")
		anew.ObjectKey, anew.Timestamp = rec.ObjectKey, ended()
		young := conversation("c-3")
		young.Start = ended()
		f.must(f.take(catalog.Batch{Conversations: lines(young), Recordings: lines(anew)}))
		f.at(ended().Add(4 * 24 * time.Hour))
		f.restart()
		if r := f.sweep(); r.Conversations != 1 {
			f.Errorf("ended %+v, want c-2", r)
		}
		f.deleteBytes()
		f.isThere(rec.ObjectKey, "audio of c-1")
		if n := f.rows("objects"); n != 1 {
			f.Errorf("%d objects are known, want the one that c-3 names", n)
		}
	})
}

// TestEndsInSteps: a conversation has more than one transaction removes. It is gone for readers at
// once. It can't be named before its rest is removed, and can be afterwards.
func TestEndsInSteps(t *testing.T) {
	onBoth(t, func(f *fixture) {
		var recs []domain.Recording
		var messages []domain.Message
		for range 9 {
			recs = append(recs, f.recording("c-1"))
			messages = append(messages, f.message("c-1"))
		}
		f.must(f.take(catalog.Batch{Conversations: lines(conversation("c-1")), Recordings: lines(recs...), Messages: lines(messages...)}))
		for _, r := range recs {
			f.must(f.upload(r.ObjectKey, "audio"))
		}
		f.retire()
		if _, err := f.ends.Sweep(f.ctx); err != nil {
			f.Fatal(err)
		}
		if n := f.rows("endings"); n != 1 || f.rows("conversations") != 0 {
			f.Fatalf("%d conversations are ending, want 1", n)
		}
		for what, err := range map[string]error{
			"a conversation": f.take(catalog.Batch{Conversations: lines(conversation("c-1"))}),
			"a message":      f.take(catalog.Batch{Messages: lines(f.message("c-1"))}),
			"a recording":    f.take(catalog.Batch{Recordings: lines(f.recording("c-1"))}),
			"an upload":      f.upload(recs[8].ObjectKey, "audio"),
		} {
			if domain.KindOf(err) != domain.KindEnding {
				f.Errorf("%s of a conversation that is ending: error %v", what, err)
			}
		}
		f.sweep()
		if err := f.take(catalog.Batch{Recordings: lines(recs[0])}); domain.KindOf(err) != domain.KindEnding {
			f.Errorf("a recording whose key is queued: error %v", err)
		}
		if r := f.deleteBytes(); r.Deleted != 9 {
			f.Errorf("deleted %+v, want 9", r)
		}
		f.nothingLeft()
		f.must(f.take(catalog.Batch{Conversations: lines(conversation("c-1")), Recordings: lines(recs[0])})) // it is registered anew
	})
}

// TestUploadsEnd: an upload that no line names ends by its age, and no younger one does.
func TestUploadsEnd(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.must(f.upload("lone/old.opus", "old"))
		owned := conversation("c-1")
		owned.RecordingKey = "lone/named.opus"
		later := ended()
		owned.LastAction = &later
		f.must(f.upload("lone/named.opus", "named"))
		f.must(f.take(catalog.Batch{Conversations: lines(owned)}))
		f.at(ended())
		f.must(f.upload("lone/young.opus", "young"))
		f.sweep()
		if r := f.deleteBytes(); r.Deleted != 1 {
			f.Errorf("deleted %+v, want 1", r)
		}
		f.isThere("lone/old.opus", "")
		f.isThere("lone/named.opus", "named")
		f.isThere("lone/young.opus", "young")
		if d := f.lastDetail(lifecycle.ActionUploadEnd); d["object"] != "lone/old.opus" {
			f.Errorf("the audit log tells %v", d)
		}
	})
}

// TestDeleterKeepsNewBytes: bytes that were written under a queued key stay, and that is told.
func TestDeleterKeepsNewBytes(t *testing.T) {
	onBoth(t, func(f *fixture) {
		key := f.whole("c-1").ObjectKey
		f.retire()
		f.sweep()
		f.platformPut(key, "newly written")
		if r := f.deleteBytes(); r.Changed != 1 || r.Deleted != 0 {
			f.Errorf("deleted %+v, want 1 changed", r)
		}
		f.isThere(key, "newly written")
		if d := f.lastDetail(lifecycle.ActionChanged); d["object"] != key {
			f.Errorf("the audit log tells %v", d)
		}
		f.nothingLeft()
	})
}

// TestUploadBesideEnd has an upload begin before its recording ends. It is never acknowledged
// without its bytes: not while the key is queued, not after its bytes were deleted, and not when
// another upload has reserved the key since.
func TestUploadBesideEnd(t *testing.T) {
	onBoth(t, func(f *fixture) {
		for order, meanwhile := range map[string]func(key string){
			"queued":  func(string) {},
			"deleted": func(string) { f.deleteBytes() },
			"reserved anew": func(key string) {
				f.deleteBytes()
				_, err := f.c.ReserveUpload(f.ctx, tenant, key)
				f.must(err)
			},
		} {
			f.at(day.Start().Add(time.Hour))
			id := "c-" + order
			key := f.whole(id).ObjectKey
			f.retire()
			reserved, err := f.c.ReserveUpload(f.ctx, tenant, key) // a repeat of the upload
			f.must(err)
			stored := f.put(key, "audio of "+id) // it finds the bytes there
			f.restart()
			f.sweep()
			meanwhile(key)
			stored.Since = reserved.Since
			if err := f.c.RegisterUpload(f.ctx, tenant, stored); domain.KindOf(err) != domain.KindConflict {
				f.Errorf("%s: the upload that began before the end: error %v, want conflict", order, err)
			}
			f.deleteBytes()
			f.must(f.upload(key, "audio of "+id))
			f.isThere(key, "audio of "+id)
		}
	})
}
