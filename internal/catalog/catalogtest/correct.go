package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// orCorrect ends the refusal of a line that contradicts what is known.
const orCorrect = "; if this line is right, an operator corrects the recording (callvault recording correct)"

// correction is one of a recording of the tenant.
func (b *bench) correction(rec domain.Recording, change func(*catalog.Correction)) catalog.Correction {
	k := catalog.Correction{Tenant: b.tenant, ObjectKey: rec.ObjectKey, Reason: "ticket 7",
		Origin: catalog.Origin{Actor: "admin", Remote: "192.0.2.7", Request: "r-1"}}
	change(&k)
	return k
}

// correct makes a correction that must be made.
func (b *bench) correct(rec domain.Recording, change func(*catalog.Correction)) catalog.Corrected {
	b.Helper()
	done, err := b.c.Correct(b.ctx, b.correction(rec, change))
	b.must(err)
	return done
}

// correctBytes corrects the size of a recording whose hour has failed for it.
func correctBytes(b *bench) {
	rec := b.recording(1, "s1")
	rec.Size = ptr(int64(5))
	b.takeRecordings(rec)
	b.plan()
	b.must(b.c.Fail(b.ctx, b.claim(1), catalog.Failure{Kind: domain.KindAllMissing, Final: true,
		Missing: []catalog.MissingFile{{ObjectKey: rec.ObjectKey, Reason: catalog.ReasonSize}}}))
	equal(b, "state", b.hour(1).State, catalog.StateFailed)
	right := rec
	right.Size = ptr(int64(11))
	b.refused(catalog.Batch{Recordings: lines(1, right)}, 1, domain.KindConflict,
		`"sizeBytes" is 11, and this recording is known to have 5 bytes`+orCorrect)

	done := b.correct(rec, func(k *catalog.Correction) { k.Size = right.Size })
	equal(b, "changed", fmt.Sprint(done.Changed), "map[sizeBytes:{5 11}]")
	equal(b, "hours", fmt.Sprint(done.Hours), fmt.Sprintf("[{%s 01}]", b.day))
	e, detail := b.last()
	equal(b, "line", fmt.Sprint(e.Actor, " ", e.Action, " ", detail), fmt.Sprintf("admin recording.correct map[changed:map[sizeBytes:map[from:5 to:11]] hours:[map[day:%s hour:01]] object:%s reason:ticket 7 remote:192.0.2.7 request:r-1]",
		b.day, rec.ObjectKey))
	known, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	equal(b, "size of the bytes that may come", *known.Size, 11)
	equal(b, "corrected", known.Corrected, true)
	b.settle(1)
	equal(b, "changed by its line as it was and as it is", b.takeRecordings(rec, right, rec).Changed, 0)
	b.rebuilding("after repeats", 1, false)

	again := b.correct(rec, func(k *catalog.Correction) { k.Size = right.Size })
	equal(b, "changed by a correction to what stands", len(again.Changed)+len(again.Hours), 0)
	b.rebuilding("after it", 1, false)
	equal(b, "log", b.actions(9), "[admin recording.correct]")
}

// correctUploaded corrects what callvault computed from bytes that it stored.
func correctUploaded(b *bench) {
	rec := b.recording(1, "s1")
	rec.Size = ptr(int64(11))
	b.takeRecordings(rec)
	b.plan()
	up := catalog.Upload{Key: rec.ObjectKey, Size: 11, CRC32: 7, New: true}
	_, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, up))
	b.settle(1)
	half := b.correction(rec, func(k *catalog.Correction) { k.Size = ptr(int64(20)) })
	_, err = b.c.Correct(b.ctx, half)
	b.wantKind(err, domain.KindConflict)
	equal(b, "reason", domain.SafeMessage(err), "11 bytes with the CRC-32 00000007 were uploaded under this object key; to correct the recording to other bytes, give both size and checksum")
	b.rebuilding("after a refusal", 1, false)
	b.correct(rec, func(k *catalog.Correction) { k.SessionID = ptr("s2") })
	b.correct(rec, func(k *catalog.Correction) { k.Size, k.CRC32 = half.Size, ptr(uint32(8)) })
	known, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	equal(b, "bytes that may come", fmt.Sprint(*known.Size, *known.CRC32), "20 8")
	b.correct(rec, func(k *catalog.Correction) { k.Size = ptr(int64(21)) }) // nobody has seen such bytes
	b.settle(1)
	equal(b, "log", b.actions(9), "[admin recording.correct admin recording.correct admin recording.correct]")
}

// correctPlace moves a recording to another day, and its hour's other half away from a build that runs.
func correctPlace(b *bench) {
	rec, stays := b.recording(1, "s1"), b.recording(1, "s1")
	alone := b.recording(2, "s1")
	b.takeRecordings(rec, stays, alone)
	b.takeConversation(b.conversation("c-new", "named"))
	before := b.day
	b.plan()
	claim, built := b.start(1)
	b.publish(2)
	at := rec.Timestamp.AddDate(0, 0, -1).Add(3 * time.Hour)
	done := b.correct(rec, func(k *catalog.Correction) {
		k.Timestamp, k.ConversationID, k.SessionID, k.MessageID, k.Type = &at, ptr("c-new"), ptr("s2"), ptr(int64(-5)), ptr("user_stt")
	})
	equal(b, "changed fields", len(done.Changed), 5)
	equal(b, "hours", len(done.Hours), 2)
	b.must(b.c.Commit(b.ctx, claim, built))
	b.rebuilding("after a build that did not see it", 1, true)
	b.correct(alone, func(k *catalog.Correction) { k.Timestamp = ptr(alone.Timestamp.Add(-time.Hour)) })
	b.pass(hourPassed)
	equal(b, "recordings of the hour that it left", contents(b.stored(1)), fmt.Sprintf("%s=c-s1/s1 %s=c-s1/s1", stays.ObjectKey, alone.ObjectKey))
	b.settle(1)

	claim = b.claim(2)
	b.must(b.c.CommitEmpty(b.ctx, claim, b.stories(2).Wanted))
	equal(b, "the emptied hour", words(b.hour(2).State, b.hour(2).Revision, b.hour(2).Archive == nil, b.hour(2).Due.IsZero()), "no_data 2 true true")
	equal(b, "files of the day", b.view().Files, 2)

	b.day = before.Add(-1)
	b.plan()
	in := b.stored(4)
	equal(b, "recordings of the hour that it came to", contents(in), rec.ObjectKey+"=named/s2")
	equal(b, "message", in.Recordings[0].MessageID, -5)
	b.publish(4)
	equal(b, "files of the other day", b.view().Files, 1)
	for h, want := range map[int]int{4: 1, 5: 0} {
		list, err := b.c.LatestAudit(b.ctx, b.tenant, b.day, h, 10)
		b.must(err)
		equal(b, "lines about the hour", len(list), want)
	}
	// Its conversation's name belongs to the hour that holds it now.
	b.takeConversation(b.conversation("c-new", "renamed"))
	b.rebuilding("its conversation was named", 4, true)
	equal(b, "changed by its first line", b.takeRecordings(rec).Changed, 0)
	_, err := b.c.ReserveUpload(b.ctx, b.tenant, rec.ObjectKey)
	b.must(err)
	b.must(b.c.RegisterUpload(b.ctx, b.tenant, catalog.Upload{Key: rec.ObjectKey, Size: 1000, CRC32: 7, New: true}))
	b.day = before
	b.rebuilding("the hour that it left", 1, false)
}

// stories gives the story of an hour.
func (b *bench) stories(hour int) catalog.HourHistory {
	b.Helper()
	s, err := b.c.HourHistory(b.ctx, b.key(hour))
	b.must(err)
	return s
}

// correctLines sends a recording's lines after two corrections of it.
func correctLines(b *bench) {
	first := b.recording(1, "s1")
	first.CRC32 = ptr(uint32(1))
	b.takeRecordings(first)
	b.plan()
	second := first
	second.Timestamp, second.CRC32 = first.Timestamp.Add(time.Hour), ptr(uint32(2))
	b.correct(first, func(k *catalog.Correction) { k.Timestamp, k.CRC32 = &second.Timestamp, second.CRC32 })
	now := second
	now.SessionID = "s2"
	b.correct(first, func(k *catalog.Correction) { k.SessionID = &now.SessionID })
	bare := first
	bare.Size, bare.CRC32, bare.ContentType = nil, nil, ""
	other := b.recording(3, "s1")
	equal(b, "changed", b.takeRecordings(first, now, bare, other, first, now).Changed, 1)
	b.refused(catalog.Batch{Recordings: lines(1, now, first, second)}, 3, domain.KindConflict,
		`"sessionId" differs from the one that this recording was registered with`+orCorrect)
	mixed := first
	mixed.CRC32 = now.CRC32
	b.refused(catalog.Batch{Recordings: lines(1, first, mixed)}, 2, domain.KindConflict,
		`"sessionId" differs from the one that this recording was registered with`+orCorrect)
	now.ContentType = "audio/ogg"
	equal(b, "its line as it is still fills in", b.takeRecordings(now).Changed, 1)
	typed := first
	typed.ContentType = "audio/webm"
	equal(b, "its line as it was still gives its content type", b.takeRecordings(typed, typed).Changed, 1)
	b.refused(catalog.Batch{Recordings: lines(1, typed, second)}, 2, domain.KindConflict,
		`"sessionId" differs from the one that this recording was registered with`+orCorrect)
	was, err := b.c.Former(b.ctx, catalog.Subject{Tenant: b.tenant, Kind: catalog.KindRecording, ID: first.ObjectKey}, 0, 9, 1000)
	b.must(err)
	equal(b, "former values", fmt.Sprintf("%d %s", len(was.Values), was.Values[0].Value), `1 "audio/ogg"`)
	b.correct(first, func(k *catalog.Correction) {
		k.Timestamp, k.CRC32, k.SessionID = &first.Timestamp, first.CRC32, &first.SessionID
	})
	equal(b, "changed after all was taken back", b.takeRecordings(first).Changed, 0)
}

// correctRefused makes corrections that can't be made: each leaves everything as it was.
func correctRefused(b *bench) {
	rec := b.recording(1, "s1")
	b.takeRecordings(rec)
	b.plan()
	b.publish(1)
	now := b.now()
	for what, c := range map[string]struct {
		kind   domain.Kind
		change func(*catalog.Correction)
	}{
		"without a reason": {domain.KindInvalid, func(k *catalog.Correction) { k.Type, k.Reason = ptr("x"), "" }},
		"of nothing":       {domain.KindInvalid, func(*catalog.Correction) {}},
		"of no tenant":     {domain.KindNotFound, func(k *catalog.Correction) { k.Type, k.Tenant = ptr("x"), "nobody" }},
		"of another's":     {domain.KindNotFound, func(k *catalog.Correction) { k.Type, k.Tenant = ptr("x"), "other" }},
		"of no recording":  {domain.KindNotFound, func(k *catalog.Correction) { k.Type, k.ObjectKey = ptr("x"), "unknown" }},
		"into a past day":  {domain.KindExpired, func(k *catalog.Correction) { k.Timestamp = ptr(rec.Timestamp.AddDate(0, 0, -30)) }},
		"far ahead":        {domain.KindInvalid, func(k *catalog.Correction) { k.Timestamp = ptr(now.Add(25 * time.Hour)) }},
	} {
		_, err := b.c.Correct(b.ctx, b.correction(rec, c.change))
		if domain.KindOf(err) != c.kind {
			b.Errorf("%s: %v, want %s", what, err, c.kind)
		}
	}
	b.rebuilding("after refusals", 1, false)
	equal(b, "log", b.actions(9), "[]")
	b.pass(5 * 24 * time.Hour)
	_, err := b.c.Correct(b.ctx, b.correction(rec, func(k *catalog.Correction) { k.Type = ptr("x") }))
	b.wantKind(err, domain.KindExpired)
	b.must(b.c.Reopen(b.ctx, b.tenant, b.day))
	b.correct(rec, func(k *catalog.Correction) { k.Timestamp = ptr(b.now()) }) // out of a day, into one that is not over
	b.pass(10 * 24 * time.Hour)
	rebuilt := b.correct(rec, func(k *catalog.Correction) { k.Timestamp = ptr(b.now()) }).Hours
	equal(b, "hours rebuilt when it leaves a day that has ended", len(rebuilt), 1)
}
