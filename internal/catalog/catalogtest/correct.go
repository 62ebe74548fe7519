package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// orCorrect is the end of the message for a line that contradicts what is known.
const orCorrect = "; if this line is right, an operator corrects the recording (callvault recording correct)"

// correction makes a correction of the tenant's recording.
func (f *fixture) correction(rec domain.Recording, change func(*catalog.Correction)) catalog.Correction {
	k := catalog.Correction{Tenant: f.tenant, ObjectKey: rec.ObjectKey, Reason: "ticket 7",
		Origin: audit.Origin{Actor: "admin", Remote: "192.0.2.7", Request: "r-1"}}
	change(&k)
	return k
}

// correct applies a correction that must succeed.
func (f *fixture) correct(rec domain.Recording, change func(*catalog.Correction)) catalog.Corrected {
	f.Helper()
	done, err := f.c.Correct(f.ctx, f.correction(rec, change))
	f.must(err)
	return done
}

// correctBytes corrects the size of a recording whose hour failed because of it.
func correctBytes(f *fixture) {
	rec := f.recording(1, "s1")
	rec.Size = ptr(int64(5))
	f.takeRecordings(rec)
	f.plan()
	f.must(f.c.Fail(f.ctx, f.claim(1), catalog.Failure{Kind: domain.KindAllMissing, Final: true,
		Missing: []catalog.MissingFile{{ObjectKey: rec.ObjectKey, Reason: catalog.ReasonSize}}}))
	equal(f, "state", f.hour(1).State, catalog.StateFailed)
	right := rec
	right.Size = ptr(int64(11))
	f.refused(catalog.Batch{Recordings: lines(1, right)}, 1, domain.KindConflict,
		`"sizeBytes" is 11, and this recording is known to have 5 bytes`+orCorrect)

	done := f.correct(rec, func(k *catalog.Correction) { k.Size = right.Size })
	equal(f, "changed", fmt.Sprint(done.Changed), "map[sizeBytes:{5 11}]")
	equal(f, "hours", fmt.Sprint(done.Hours), fmt.Sprintf("[{%s 01}]", f.day))
	e, detail := f.last()
	equal(f, "line", fmt.Sprint(e.Actor, " ", e.Action, " ", detail), fmt.Sprintf("admin recording.correct map[changed:map[sizeBytes:map[from:5 to:11]] hours:[map[day:%s hour:01]] object:%s reason:ticket 7 remote:192.0.2.7 request:r-1]",
		f.day, rec.ObjectKey))
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	equal(f, "size of the bytes that may come", *known.Size, 11)
	equal(f, "corrected", known.Corrected, true)
	f.publishLater(1)
	equal(f, "changed by its line as it was and as it is", f.takeRecordings(rec, right, rec).Changed, 0)
	f.rebuilding("after repeats", 1, false)

	again := f.correct(rec, func(k *catalog.Correction) { k.Size = right.Size })
	equal(f, "changed by a correction to what stands", len(again.Changed)+len(again.Hours), 0)
	f.rebuilding("after it", 1, false)
	equal(f, "log", f.actions(9), "[admin recording.correct]")
}

// correctUploaded corrects values that callvault computed from uploaded bytes.
func correctUploaded(f *fixture) {
	rec := f.recording(1, "s1")
	rec.Size = ptr(int64(11))
	f.takeRecordings(rec)
	f.plan()
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	up := catalog.Upload{Key: rec.ObjectKey, Size: 11, CRC32: 7, New: true, Since: known.Since}
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, up))
	f.publishLater(1)
	half := f.correction(rec, func(k *catalog.Correction) { k.Size = ptr(int64(20)) })
	_, err = f.c.Correct(f.ctx, half)
	f.wantKind(err, domain.KindConflict)
	equal(f, "reason", domain.SafeMessage(err), "11 bytes with the CRC-32 00000007 were uploaded under this object key; to correct the recording to other bytes, give both size and CRC-32")
	f.rebuilding("after a refusal", 1, false)
	f.correct(rec, func(k *catalog.Correction) { k.SessionID = ptr("s2") })
	f.correct(rec, func(k *catalog.Correction) { k.Size, k.CRC32 = half.Size, ptr(uint32(8)) })
	known, err = f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	equal(f, "bytes that may come", fmt.Sprint(*known.Size, *known.CRC32), "20 8")
	f.correct(rec, func(k *catalog.Correction) { k.Size = ptr(int64(21)) }) // such bytes were never uploaded
	f.publishLater(1)
	equal(f, "log", f.actions(9), "[admin recording.correct admin recording.correct admin recording.correct]")
}

// correctPlace moves recordings to other hours, one of them while a build of its hour runs.
func correctPlace(f *fixture) {
	rec, stays := f.recording(1, "s1"), f.recording(1, "s1")
	alone := f.recording(2, "s1")
	f.takeRecordings(rec, stays, alone)
	f.takeConversation(f.conversation("c-new", "named"))
	before := f.day
	f.plan()
	claim, built := f.start(1)
	f.publish(2)
	at := rec.Timestamp.AddDate(0, 0, -1).Add(3 * time.Hour)
	done := f.correct(rec, func(k *catalog.Correction) {
		k.Timestamp, k.ConversationID, k.SessionID, k.MessageID, k.Type = &at, ptr("c-new"), ptr("s2"), ptr(int64(-5)), ptr("user_stt")
	})
	equal(f, "changed fields", len(done.Changed), 5)
	equal(f, "hours", len(done.Hours), 2)
	f.must(f.c.Commit(f.ctx, claim, built))
	f.rebuilding("after a build that did not see it", 1, true)
	f.correct(alone, func(k *catalog.Correction) { k.Timestamp = ptr(alone.Timestamp.Add(-time.Hour)) })
	f.pass(hourPassed)
	equal(f, "recordings of the hour that it left", contents(f.stored(1)), fmt.Sprintf("%s=c-s1/s1 %s=c-s1/s1", stays.ObjectKey, alone.ObjectKey))
	f.publishLater(1)

	claim = f.claim(2)
	f.must(f.c.CommitEmpty(f.ctx, claim, f.hourHistory(2).Wanted))
	equal(f, "the emptied hour", words(f.hour(2).State, f.hour(2).Revision, f.hour(2).Archive == nil, f.hour(2).Due.IsZero()), "no_data 2 true true")
	equal(f, "files of the day", f.view().Files, 2)

	f.day = before.Add(-1)
	f.plan()
	in := f.stored(4)
	equal(f, "recordings of the hour that it came to", contents(in), rec.ObjectKey+"=named/s2")
	equal(f, "message", in.Recordings[0].MessageID, -5)
	f.publish(4)
	equal(f, "files of the other day", f.view().Files, 1)
	for h, want := range map[int]int{4: 2, 5: 0} { // the correction, and the archive
		list, err := f.c.LatestAudit(f.ctx, f.tenant, f.day, h, 10)
		f.must(err)
		equal(f, "lines about the hour", len(list), want)
	}
	// A change of its conversation's name touches the hour that has the recording now.
	f.takeConversation(f.conversation("c-new", "renamed"))
	f.rebuilding("its conversation was named", 4, true)
	equal(f, "changed by its first line", f.takeRecordings(rec).Changed, 0)
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, catalog.Upload{Key: rec.ObjectKey, Size: 1000, CRC32: 7, New: true, Since: known.Since}))
	f.day = before
	f.rebuilding("the hour that it left", 1, false)
}

// hourHistory gives the history of an hour.
func (f *fixture) hourHistory(hour int) catalog.HourHistory {
	f.Helper()
	s, err := f.c.HourHistory(f.ctx, f.key(hour))
	f.must(err)
	return s
}

// correctLines sends a recording's lines after two corrections of it.
func correctLines(f *fixture) {
	first := f.recording(1, "s1")
	first.CRC32 = ptr(uint32(1))
	f.takeRecordings(first)
	f.plan()
	second := first
	second.Timestamp, second.CRC32 = first.Timestamp.Add(time.Hour), ptr(uint32(2))
	f.correct(first, func(k *catalog.Correction) { k.Timestamp, k.CRC32 = &second.Timestamp, second.CRC32 })
	now := second
	now.SessionID = "s2"
	f.correct(first, func(k *catalog.Correction) { k.SessionID = &now.SessionID })
	bare := first
	bare.Size, bare.CRC32, bare.ContentType = nil, nil, ""
	other := f.recording(3, "s1")
	equal(f, "changed", f.takeRecordings(first, now, bare, other, first, now).Changed, 1)
	f.refused(catalog.Batch{Recordings: lines(1, now, first, second)}, 3, domain.KindConflict,
		`"sessionId" differs from the one that this recording was registered with`+orCorrect)
	mixed := first
	mixed.CRC32 = now.CRC32
	f.refused(catalog.Batch{Recordings: lines(1, first, mixed)}, 2, domain.KindConflict,
		`"sessionId" differs from the one that this recording was registered with`+orCorrect)
	now.ContentType = "audio/ogg"
	equal(f, "its line as it is still fills in", f.takeRecordings(now).Changed, 1)
	typed := first
	typed.ContentType = "audio/webm"
	equal(f, "its line as it was still gives its content type", f.takeRecordings(typed, typed).Changed, 1)
	f.refused(catalog.Batch{Recordings: lines(1, typed, second)}, 2, domain.KindConflict,
		`"sessionId" differs from the one that this recording was registered with`+orCorrect)
	was, err := f.c.FormerValues(f.ctx, catalog.Subject{Tenant: f.tenant, Kind: catalog.KindRecording, ID: first.ObjectKey}, 0, 9, 1000)
	f.must(err)
	equal(f, "former values", fmt.Sprintf("%d %s", len(was.Values), was.Values[0].Value), `1 "audio/ogg"`)
	f.correct(first, func(k *catalog.Correction) {
		k.Timestamp, k.CRC32, k.SessionID = &first.Timestamp, first.CRC32, &first.SessionID
	})
	equal(f, "changed after all was taken back", f.takeRecordings(first).Changed, 0)
}

// correctRefused tries corrections that are refused: each one changes nothing.
func correctRefused(f *fixture) {
	rec := f.recording(1, "s1")
	f.takeRecordings(rec)
	f.plan()
	f.publish(1)
	now := f.now()
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
		_, err := f.c.Correct(f.ctx, f.correction(rec, c.change))
		if domain.KindOf(err) != c.kind {
			f.Errorf("%s: %v, want %s", what, err, c.kind)
		}
	}
	f.rebuilding("after refusals", 1, false)
	equal(f, "log", f.actions(9), "[]")
	f.pass(5 * 24 * time.Hour)
	_, err := f.c.Correct(f.ctx, f.correction(rec, func(k *catalog.Correction) { k.Type = ptr("x") }))
	f.wantKind(err, domain.KindExpired)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	f.correct(rec, func(k *catalog.Correction) { k.Timestamp = ptr(f.now()) }) // from a day into one that is not over
	f.pass(10 * 24 * time.Hour)
	rebuilt := f.correct(rec, func(k *catalog.Correction) { k.Timestamp = ptr(f.now()) }).Hours
	equal(f, "hours rebuilt when it leaves a day that has ended", len(rebuilt), 1)
}
