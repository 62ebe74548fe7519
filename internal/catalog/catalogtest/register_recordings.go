package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func ptr[T any](v T) *T { return &v }

func registerContradictions(f *fixture) {
	rec := f.recording(1, "s1")
	rec.CRC32 = ptr(uint32(0xa1b2c3d4))
	f.takeRecordings(rec)
	f.plan()
	f.publish(1)
	good := f.recording(2, "s1")
	size := rec
	size.Size = ptr(int64(999))
	f.refused(catalog.Batch{Recordings: lines(1, good, size)}, 2, domain.KindConflict,
		`"sizeBytes" is 999, and this recording is known to have 1000 bytes`+orCorrect)
	crc := rec
	crc.CRC32 = ptr(uint32(1))
	f.refused(catalog.Batch{Recordings: lines(1, good, crc)}, 2, domain.KindConflict,
		`"crc32" is 00000001, and this recording is known to have a1b2c3d4`+orCorrect)
	otherDay := rec
	otherDay.Timestamp = rec.Timestamp.AddDate(0, 0, 1)
	f.refused(catalog.Batch{Recordings: lines(1, good, otherDay)}, 2, domain.KindConflict,
		`"timestamp" differs from the one that this recording was registered with`+orCorrect)
	f.rebuilding("after refusals", 1, false)
	equal(f, "hour 2 stays empty", f.hour(2).State, catalog.StateNoData)
}

func registerFillsIn(f *fixture) {
	rec := f.recording(1, "s1")
	bare := rec
	bare.Size, bare.CRC32, bare.ContentType = nil, nil, ""
	f.takeRecordings(bare)
	f.plan()
	claim := f.claim(1)
	sizes := make([]catalog.ObjectSize, catalog.MaxSizes)
	for i := range sizes {
		sizes[i] = catalog.ObjectSize{ObjectKey: fmt.Sprint("unknown/", i), Bytes: int64(i)}
	}
	sizes[500] = catalog.ObjectSize{ObjectKey: rec.ObjectKey, Bytes: 1000}
	f.must(f.c.SaveSizes(f.ctx, claim, sizes))
	f.must(f.c.SaveSizes(f.ctx, claim, []catalog.ObjectSize{{ObjectKey: rec.ObjectKey, Bytes: 7}})) // it is known now
	f.must(f.c.SaveSizes(f.ctx, claim, nil))
	f.must(f.c.Release(f.ctx, claim))
	f.publish(1)
	equal(f, "what a build learnt is known", f.takeRecordings(rec).Changed, 0)
	f.rebuilding("after a repeat", 1, false)
	rec.ContentType = "audio/ogg"
	equal(f, "content type", f.takeRecordings(rec).Changed, 1)
	f.rebuilding("no archive shows the content type", 1, false)
	rec.CRC32 = ptr(uint32(7))
	equal(f, "checksum", f.takeRecordings(rec).Changed, 1)
	f.rebuilding("a checksum is compared by a build", 1, true)
	f.publishLater(1)
	equal(f, "less is no change", f.takeRecordings(bare).Changed, 0)
	f.rebuilding("after less", 1, false)
}

// registerMoves sends a second line that gives an object another place, in a later batch and in the
// same one.
func registerMoves(f *fixture) {
	rec := f.recording(1, "leg-a")
	f.takeRecordings(rec)
	f.plan()
	f.publish(1)
	for field, change := range map[string]func(*domain.Recording){
		"conversationId": func(r *domain.Recording) { r.ConversationID = "c-new" },
		"sessionId":      func(r *domain.Recording) { r.SessionID = "leg-b" },
		"messageId":      func(r *domain.Recording) { r.MessageID = -5 },
		"type":           func(r *domain.Recording) { r.Type = "user_stt" },
		"timestamp":      func(r *domain.Recording) { r.Timestamp = r.Timestamp.Add(time.Hour) },
	} {
		reason := fmt.Sprintf("%q differs from the one that this recording was registered with", field) + orCorrect
		moved, fresh := rec, f.recording(2, "leg-a")
		change(&moved)
		f.refused(catalog.Batch{Recordings: lines(3, fresh, moved)}, 4, domain.KindConflict, reason)
		moved = fresh
		change(&moved)
		f.refused(catalog.Batch{Recordings: lines(3, fresh, fresh, moved)}, 5, domain.KindConflict, reason)
	}
	f.rebuilding("after refusals", 1, false)
	equal(f, "hour 2 stays empty", f.hour(2).State, catalog.StateNoData)
	equal(f, "changed by the line as it was", f.takeRecordings(rec, rec).Changed, 0)
}

func registerForeignKey(f *fixture) {
	theirs := f.recording(1, "s1")
	f.tenant = "other"
	f.takeRecordings(theirs)
	whole := f.conversation("c9", "")
	whole.RecordingKey = "recordings/theirs.webm"
	f.takeConversation(whole)
	f.tenant = "acme"
	f.refused(catalog.Batch{Recordings: lines(1, f.recording(1, "s1"), theirs)}, 2, domain.KindInvalid,
		`"objectKey" names an object that is not this tenant's`)
	f.refused(catalog.Batch{Conversations: lines(1, f.conversation("c8", ""), whole)}, 2, domain.KindInvalid,
		`"recording.objectKey" names an object that is not this tenant's`)
	stolen := f.recording(1, "s1")
	stolen.ObjectKey = whole.RecordingKey
	f.refused(catalog.Batch{Recordings: lines(3, stolen)}, 3, domain.KindInvalid,
		`"objectKey" names an object that is not this tenant's`)
	equal(f, "nothing was planned from refusals", f.plan().Due, 0)
}

func externalID(f *fixture) {
	rec, far := f.recording(1, "s1"), f.recording(7, "s1")
	bystander := f.recording(2, "s2")
	f.takeRecordings(rec, far, bystander)
	f.plan()
	equal(f, "unknown", f.stored(1).Recordings[0].ExternalConversationID, "c-s1")
	for _, h := range []int{1, 2, 7} {
		f.publish(h)
	}
	named := func(external string, want bool) {
		f.Helper()
		line := f.conversation("c-s1", external)
		if external == "" {
			line.Cleared = []string{"externalConversationId"}
		}
		f.takeConversation(line)
		f.rebuilding("hour 1 named "+external, 1, want)
		f.rebuilding("hour 7 named "+external, 7, want)
		f.rebuilding("hour 2", 2, false)
		if !want {
			return
		}
		f.pass(hourPassed)
		effective := external
		if effective == "" {
			effective = "c-s1"
		}
		equal(f, "external id", f.stored(1).Recordings[0].ExternalConversationID, effective)
		f.publishLater(1)
		f.publishLater(7)
	}
	named("", false)       // the line comes, and the folder's name stays
	named("c-s1", false)   // given explicitly
	named("conv-1", true)  // late
	named("conv-1", false) // repeated
	named("conv-2", true)  // changed
	named("", true)        // taken away
	other := f.conversation("c-s1", "")
	other.Locale = "fr_fr"
	f.takeConversation(other)
	f.rebuilding("other facts move no folder", 1, false)
}

func externalIDInOneBatch(f *fixture) {
	first, second := f.recording(1, "s1"), f.recording(2, "s1")
	f.take(catalog.Batch{Recordings: lines(1, first), Conversations: lines(2, f.conversation("c-s1", "one"))})
	f.plan()
	equal(f, "external id", f.stored(1).Recordings[0].ExternalConversationID, "one")
	f.publish(1)
	f.take(catalog.Batch{Recordings: lines(1, second), Conversations: lines(2, f.conversation("c-s1", "two"))})
	f.rebuilding("the earlier hour", 1, true)
	f.pass(hourPassed)
	equal(f, "the new hour", f.stored(2).Recordings[0].ExternalConversationID, "two")
	equal(f, "a stub wipes nothing", f.takeRecordings(first).Changed, 0)
	equal(f, "known", f.takeConversation(f.conversation("c-s1", "two")).Changed, 0)
}

func uploads(f *fixture) {
	rec := f.recording(1, "s1")
	f.takeRecordings(rec)
	f.plan()
	f.publish(1)
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	equal(f, "day", known.Day, f.day)
	equal(f, "size", *known.Size, 1000)
	equal(f, "checksum", known.CRC32 == nil, true)
	up := catalog.Upload{Since: known.Since, Key: rec.ObjectKey, Size: 1000, CRC32: 0xffffffff, New: true}
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	f.rebuilding("its bytes came", 1, true)
	f.publishLater(1)
	known, err = f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	equal(f, "checksum", *known.CRC32, 0xffffffff)
	up.New = false
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	f.rebuilding("nothing new", 1, false)
	up.New = true
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	f.rebuilding("written again after it was lost", 1, true)
	f.wantKind(f.c.RegisterUpload(f.ctx, f.tenant, catalog.Upload{Key: "unreserved"}), domain.KindConflict)
	wrong := rec
	wrong.Size = ptr(int64(5))
	f.refused(catalog.Batch{Recordings: lines(1, wrong)}, 1, domain.KindConflict, `"sizeBytes" is 5, and this recording is known to have 1000 bytes`+orCorrect)
}

// uploadOfMissing repeats an upload whose bytes were lost in the store after it was registered.
func uploadOfMissing(f *fixture) {
	rec := f.recording(1, "s1")
	f.takeRecordings(rec)
	f.plan()
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	up := catalog.Upload{Since: known.Since, Key: rec.ObjectKey, Size: 1000, CRC32: 7, New: true}
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	claim, built := f.start(1) // meanwhile they are lost
	built.Missing = []catalog.MissingFile{{ObjectKey: rec.ObjectKey, Reason: "not_found"}}
	f.must(f.c.Commit(f.ctx, claim, built))
	f.rebuilding("without it", 1, false)
	up.New = false
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	f.rebuilding("it is back", 1, true)
	f.publishLater(1)
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	f.rebuilding("it is in the archive", 1, false)
}

// uploadOfFailed does the same for an hour that failed because of the missing bytes: once without
// an archive, and once while it serves a former one.
func uploadOfFailed(f *fixture) {
	rec := f.recording(1, "s1")
	f.takeRecordings(rec)
	f.plan()
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	up := catalog.Upload{Since: known.Since, Key: rec.ObjectKey, Size: 1000, CRC32: 7}
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	for range 2 {
		f.force(1)
		f.must(f.c.Fail(f.ctx, f.claim(1), catalog.Failure{Kind: domain.KindAllMissing, Final: true,
			Missing: []catalog.MissingFile{{ObjectKey: rec.ObjectKey, Reason: catalog.ReasonNotFound}}}))
		equal(f, "waits for its next try", f.hour(1).Due.After(f.now().Add(50*time.Minute)), true)
		f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
		equal(f, "due soon", f.hour(1).Due.Before(f.now().Add(10*time.Minute)), true)
		f.publishLater(1)
		f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
		f.rebuilding("it is in the archive", 1, false)
	}
}

func uploadFirst(f *fixture) {
	rec := f.recording(1, "s1")
	rec.Size = nil
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	equal(f, "nothing is known", known, catalog.Reserved{Since: known.Since})
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, catalog.Upload{Since: known.Since, Key: rec.ObjectKey, Size: 44, CRC32: 5, New: true}))
	wrong := rec
	wrong.CRC32 = ptr(uint32(6))
	f.refused(catalog.Batch{Recordings: lines(1, wrong)}, 1, domain.KindConflict, `"crc32" is 00000006, and this recording is known to have 00000005`+orCorrect)
	f.takeRecordings(rec)
	f.plan()
	stored := f.stored(1).Recordings[0]
	equal(f, "size", *stored.Size, 44)
	equal(f, "checksum", *stored.CRC32, 5)
}

func uploadForeign(f *fixture) {
	_, err := f.c.ReserveUpload(f.ctx, "other", "k")
	f.must(err)
	_, err = f.c.ReserveUpload(f.ctx, f.tenant, "k")
	f.wantKind(err, domain.KindInvalid)
	f.wantKind(f.c.RegisterUpload(f.ctx, f.tenant, catalog.Upload{Key: "k", New: true}), domain.KindConflict)
	rec := f.recording(1, "s1")
	rec.ObjectKey = "k"
	f.refused(catalog.Batch{Recordings: lines(1, rec)}, 1, domain.KindInvalid, `"objectKey" names an object that is not this tenant's`)
}
