package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func ptr[T any](v T) *T { return &v }

func registerContradictions(b *bench) {
	rec := b.recording(1, "s1")
	rec.CRC32 = ptr(uint32(0xa1b2c3d4))
	b.takeRecordings(rec)
	b.plan()
	b.publish(1)
	good := b.recording(2, "s1")
	size := rec
	size.Size = ptr(int64(999))
	b.refused(catalog.Batch{Recordings: lines(1, good, size)}, 2, domain.KindConflict,
		`"sizeBytes" is 999, and this recording is known to have 1000 bytes`+orCorrect)
	crc := rec
	crc.CRC32 = ptr(uint32(1))
	b.refused(catalog.Batch{Recordings: lines(1, good, crc)}, 2, domain.KindConflict,
		`"crc32" is 00000001, and this recording is known to have a1b2c3d4`+orCorrect)
	otherDay := rec
	otherDay.Timestamp = rec.Timestamp.AddDate(0, 0, 1)
	b.refused(catalog.Batch{Recordings: lines(1, good, otherDay)}, 2, domain.KindConflict,
		`"timestamp" differs from the one that this recording was registered with`+orCorrect)
	b.rebuilding("after refusals", 1, false)
	equal(b, "hour 2 stays empty", b.hour(2).State, catalog.StateNoData)
}

func registerFillsIn(b *bench) {
	rec := b.recording(1, "s1")
	bare := rec
	bare.Size, bare.CRC32, bare.ContentType = nil, nil, ""
	b.takeRecordings(bare)
	b.plan()
	claim := b.claim(1)
	sizes := make([]catalog.ObjectSize, catalog.MaxSizes)
	for i := range sizes {
		sizes[i] = catalog.ObjectSize{ObjectKey: fmt.Sprint("unknown/", i), Bytes: int64(i)}
	}
	sizes[500] = catalog.ObjectSize{ObjectKey: rec.ObjectKey, Bytes: 1000}
	b.must(b.c.LearnSizes(b.ctx, claim, sizes))
	b.must(b.c.LearnSizes(b.ctx, claim, []catalog.ObjectSize{{ObjectKey: rec.ObjectKey, Bytes: 7}})) // it is known by now
	b.must(b.c.LearnSizes(b.ctx, claim, nil))
	b.must(b.c.Release(b.ctx, claim))
	b.publish(1)
	equal(b, "what a build learnt is known", b.takeRecordings(rec).Changed, 0)
	b.rebuilding("after a repeat", 1, false)
	rec.ContentType = "audio/ogg"
	equal(b, "content type", b.takeRecordings(rec).Changed, 1)
	b.rebuilding("no archive shows the content type", 1, false)
	rec.CRC32 = ptr(uint32(7))
	equal(b, "checksum", b.takeRecordings(rec).Changed, 1)
	b.rebuilding("a checksum is compared by a build", 1, true)
	b.settle(1)
	equal(b, "less is no change", b.takeRecordings(bare).Changed, 0)
	b.rebuilding("after less", 1, false)
}

// registerMoves sends an object's line once more for another place: in a later batch, and in the same one.
func registerMoves(b *bench) {
	rec := b.recording(1, "leg-a")
	b.takeRecordings(rec)
	b.plan()
	b.publish(1)
	for field, change := range map[string]func(*domain.Recording){
		"conversationId": func(r *domain.Recording) { r.ConversationID = "c-new" },
		"sessionId":      func(r *domain.Recording) { r.SessionID = "leg-b" },
		"messageId":      func(r *domain.Recording) { r.MessageID = -5 },
		"type":           func(r *domain.Recording) { r.Type = "user_stt" },
		"timestamp":      func(r *domain.Recording) { r.Timestamp = r.Timestamp.Add(time.Hour) },
	} {
		reason := fmt.Sprintf("%q differs from the one that this recording was registered with", field) + orCorrect
		moved, fresh := rec, b.recording(2, "leg-a")
		change(&moved)
		b.refused(catalog.Batch{Recordings: lines(3, fresh, moved)}, 4, domain.KindConflict, reason)
		moved = fresh
		change(&moved)
		b.refused(catalog.Batch{Recordings: lines(3, fresh, fresh, moved)}, 5, domain.KindConflict, reason)
	}
	b.rebuilding("after refusals", 1, false)
	equal(b, "hour 2 stays empty", b.hour(2).State, catalog.StateNoData)
	equal(b, "changed by the line as it was", b.takeRecordings(rec, rec).Changed, 0)
}

func registerForeignKey(b *bench) {
	theirs := b.recording(1, "s1")
	b.tenant = "other"
	b.takeRecordings(theirs)
	whole := b.conversation("c9", "")
	whole.RecordingKey = "recordings/theirs.webm"
	b.takeConversation(whole)
	b.tenant = "acme"
	b.refused(catalog.Batch{Recordings: lines(1, b.recording(1, "s1"), theirs)}, 2, domain.KindInvalid,
		`"objectKey" names an object that is not this tenant's`)
	b.refused(catalog.Batch{Conversations: lines(1, b.conversation("c8", ""), whole)}, 2, domain.KindInvalid,
		`"recording.objectKey" names an object that is not this tenant's`)
	stolen := b.recording(1, "s1")
	stolen.ObjectKey = whole.RecordingKey
	b.refused(catalog.Batch{Recordings: lines(3, stolen)}, 3, domain.KindInvalid,
		`"objectKey" names an object that is not this tenant's`)
	equal(b, "nothing was planned from refusals", b.plan().Due, 0)
}

func externalID(b *bench) {
	rec, far := b.recording(1, "s1"), b.recording(7, "s1")
	bystander := b.recording(2, "s2")
	b.takeRecordings(rec, far, bystander)
	b.plan()
	equal(b, "unknown", b.stored(1).Recordings[0].ExternalConversationID, "c-s1")
	for _, h := range []int{1, 2, 7} {
		b.publish(h)
	}
	named := func(external string, want bool) {
		b.Helper()
		line := b.conversation("c-s1", external)
		if external == "" {
			line.Cleared = []string{"externalConversationId"}
		}
		b.takeConversation(line)
		b.rebuilding("hour 1 named "+external, 1, want)
		b.rebuilding("hour 7 named "+external, 7, want)
		b.rebuilding("hour 2", 2, false)
		if !want {
			return
		}
		b.pass(hourPassed)
		effective := external
		if effective == "" {
			effective = "c-s1"
		}
		equal(b, "external id", b.stored(1).Recordings[0].ExternalConversationID, effective)
		b.settle(1)
		b.settle(7)
	}
	named("", false)       // the line comes, the effective id stays
	named("c-s1", false)   // spelled out
	named("conv-1", true)  // late
	named("conv-1", false) // repeated
	named("conv-2", true)  // changed
	named("", true)        // taken away
	other := b.conversation("c-s1", "")
	other.Locale = "fr_fr"
	b.takeConversation(other)
	b.rebuilding("other facts move no folder", 1, false)
}

func externalIDInOneBatch(b *bench) {
	first, second := b.recording(1, "s1"), b.recording(2, "s1")
	b.take(catalog.Batch{Recordings: lines(1, first), Conversations: lines(2, b.conversation("c-s1", "one"))})
	b.plan()
	equal(b, "external id", b.stored(1).Recordings[0].ExternalConversationID, "one")
	b.publish(1)
	b.take(catalog.Batch{Recordings: lines(1, second), Conversations: lines(2, b.conversation("c-s1", "two"))})
	b.rebuilding("the earlier hour", 1, true)
	b.pass(hourPassed)
	equal(b, "the new hour", b.stored(2).Recordings[0].ExternalConversationID, "two")
	equal(b, "a stub wipes nothing", b.takeRecordings(first).Changed, 0)
	equal(b, "known", b.takeConversation(b.conversation("c-s1", "two")).Changed, 0)
}

func uploads(b *bench) {
	rec := b.recording(1, "s1")
	b.takeRecordings(rec)
	b.plan()
	b.publish(1)
	known, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	equal(b, "day", known.Day, b.day)
	equal(b, "size", *known.Size, 1000)
	equal(b, "checksum", known.CRC32 == nil, true)
	up := catalog.Upload{Key: rec.ObjectKey, Size: 1000, CRC32: 0xffffffff, New: true}
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	b.rebuilding("its bytes came", 1, true)
	b.settle(1)
	known, err = b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	equal(b, "checksum", *known.CRC32, 0xffffffff)
	up.New = false
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	b.rebuilding("nothing new", 1, false)
	up.New = true
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	b.rebuilding("written again after it was lost", 1, true)
	b.wantKind(b.c.RegisterUpload(b.ctx, b.tenant, catalog.Upload{Key: "unreserved"}), domain.KindNotFound)
	wrong := rec
	wrong.Size = ptr(int64(5))
	b.refused(catalog.Batch{Recordings: lines(1, wrong)}, 1, domain.KindConflict, `"sizeBytes" is 5, and this recording is known to have 1000 bytes`+orCorrect)
}

// uploadOfMissing comes again for bytes of which the store's keeping was told, but not that they were back.
func uploadOfMissing(b *bench) {
	rec := b.recording(1, "s1")
	b.takeRecordings(rec)
	b.plan()
	_, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	up := catalog.Upload{Key: rec.ObjectKey, Size: 1000, CRC32: 7, New: true}
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	claim, built := b.start(1) // meanwhile they are lost
	built.Missing = []catalog.MissingFile{{ObjectKey: rec.ObjectKey, Reason: "not_found"}}
	b.must(b.c.Commit(b.ctx, claim, built))
	b.rebuilding("without it", 1, false)
	up.New = false
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	b.rebuilding("it is back", 1, true)
	b.settle(1)
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	b.rebuilding("it is in the archive", 1, false)
}

// uploadOfFailed comes again, likewise, for an hour that has failed for want of the bytes: once without
// an archive, and once while it serves a former one.
func uploadOfFailed(b *bench) {
	rec := b.recording(1, "s1")
	b.takeRecordings(rec)
	b.plan()
	_, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	up := catalog.Upload{Key: rec.ObjectKey, Size: 1000, CRC32: 7}
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	for range 2 {
		b.force(1)
		b.must(b.c.Fail(b.ctx, b.claim(1), catalog.Failure{Kind: domain.KindAllMissing, Final: true,
			Missing: []catalog.MissingFile{{ObjectKey: rec.ObjectKey, Reason: catalog.ReasonNotFound}}}))
		equal(b, "waits for its next try", b.hour(1).Due.After(b.now().Add(50*time.Minute)), true)
		b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
		equal(b, "due soon", b.hour(1).Due.Before(b.now().Add(10*time.Minute)), true)
		b.settle(1)
		b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
		b.rebuilding("it is in the archive", 1, false)
	}
}

func uploadFirst(b *bench) {
	rec := b.recording(1, "s1")
	rec.Size = nil
	known, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	equal(b, "nothing is known", known, catalog.Reserved{})
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, catalog.Upload{Key: rec.ObjectKey, Size: 44, CRC32: 5, New: true}))
	wrong := rec
	wrong.CRC32 = ptr(uint32(6))
	b.refused(catalog.Batch{Recordings: lines(1, wrong)}, 1, domain.KindConflict, `"crc32" is 00000006, and this recording is known to have 00000005`+orCorrect)
	b.takeRecordings(rec)
	b.plan()
	stored := b.stored(1).Recordings[0]
	equal(b, "size", *stored.Size, 44)
	equal(b, "checksum", *stored.CRC32, 5)
}

func uploadForeign(b *bench) {
	_, err := b.c.ReserveUpload(b.ctx, "other", "k")
	b.must(err)
	_, err = b.c.ReserveUpload(b.ctx, b.tenant, "k")
	b.wantKind(err, domain.KindInvalid)
	b.wantKind(b.c.RegisterUpload(b.ctx, b.tenant, catalog.Upload{Key: "k", New: true}), domain.KindNotFound)
	rec := b.recording(1, "s1")
	rec.ObjectKey = "k"
	b.refused(catalog.Batch{Recordings: lines(1, rec)}, 1, domain.KindInvalid, `"objectKey" names an object that is not this tenant's`)
}
