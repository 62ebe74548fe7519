package catalogtest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// sum gives the SHA-256 of a text.
func sum(text string) *domain.SHA256 { return ptr(domain.SHA256(sha256.Sum256([]byte(text)))) }

// known gives what is known of a recording's sum: "a line ETAG" for the sum of "a"; "" for nothing.
func (f *fixture) known(rec domain.Recording) string {
	f.Helper()
	var of *domain.SHA256
	var origin, etag string
	f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT sha256, sha256_origin, etag FROM recordings WHERE tenant = $1 AND object_key = $2`,
		f.tenant, rec.ObjectKey).Scan(&of, db.OrZero(&origin), db.OrZero(&etag)))
	for _, text := range []string{"a", "b", "c"} {
		if of != nil && *of == *sum(text) {
			return text + " " + origin + " " + etag
		}
	}
	if of != nil || origin != "" || etag != "" {
		f.Fatalf("%s has the sum %s from %q, of %q", rec.ObjectKey, of, origin, etag)
	}
	return ""
}

// upload uploads the bytes of a text, which must be accepted.
func (f *fixture) upload(rec domain.Recording, text string, isNew bool) {
	f.Helper()
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, f.reserved(rec, text, isNew)))
}

// reserved reserves a recording's key for the bytes of a text.
func (f *fixture) reserved(rec domain.Recording, text string, isNew bool) catalog.Upload {
	f.Helper()
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	return catalog.Upload{Since: known.Since, Key: rec.ObjectKey, Size: 1000, CRC32: 7, SHA256: sum(text), ETag: "e" + text, New: isNew}
}

func learnt(rec domain.Recording, text string) catalog.LearntSum {
	return catalog.LearntSum{ObjectKey: rec.ObjectKey, Size: 1000, CRC32: 7, SHA256: *sum(text), ETag: "e" + text}
}

// otherSum is the refusal of a line that tells another sum than that of "a".
func otherSum(text string) string {
	return fmt.Sprintf(`"sha256" is %s, and this recording is known to have %s`, sum(text), sum("a")) + orCorrect
}

// sumsOfLines sends lines with and without a sum, before and after builds and uploads told one.
func sumsOfLines(f *fixture) {
	bare := f.recording(1, "s1")
	full, wrong := bare, bare
	full.SHA256, wrong.SHA256 = sum("a"), sum("b")
	for _, c := range []struct {
		name        string
		before      func()
		repeats     string // what is known after repeats, and what they change
		bareChanges int
		fullChanges int
		rebuilds    bool
	}{
		{"a line without", func() { f.takeRecordings(bare) }, "a line ", 0, 1, true},
		{"a line with one", func() { f.takeRecordings(full) }, "a line ", 0, 0, false},
		{"both in a batch", func() { f.takeRecordings(bare, full, bare) }, "a line ", 0, 0, false},
		{"a build", func() {
			f.takeRecordings(bare)
			f.must(f.c.LearnSums(f.ctx, f.tenant, f.day, domain.SumBuild, []catalog.LearntSum{learnt(bare, "a")}))
		}, "a build ea", 0, 0, false},
		{"an upload after", func() { f.takeRecordings(bare); f.upload(bare, "a", true) }, "a upload ea", 0, 0, false},
		{"an upload before", func() { f.upload(bare, "a", true); f.takeRecordings(bare) }, "a upload ea", 0, 0, false},
		{"an upload before a line with one", func() { f.upload(bare, "a", true); f.takeRecordings(full) }, "a upload ea", 0, 0, false},
		{"an upload after a line with one", func() { f.takeRecordings(full); f.upload(bare, "a", true) }, "a line ea", 0, 0, false},
	} {
		key := bare.ObjectKey + c.name
		bare.ObjectKey, full.ObjectKey, wrong.ObjectKey = key, key, key
		c.before()
		f.plan()
		f.force(1)
		f.publish(1)
		equal(f, c.name+": changed by a line without", f.takeRecordings(bare).Changed, c.bareChanges)
		equal(f, c.name+": changed by a line with one", f.takeRecordings(full).Changed, c.fullChanges)
		f.rebuilding(c.name, 1, c.rebuilds)
		equal(f, c.name+": known", f.known(bare), c.repeats)
		good := f.recording(2, "s1")
		f.refused(catalog.Batch{Recordings: lines(1, good, wrong)}, 2, domain.KindConflict, otherSum("b"))
		equal(f, c.name+": known after a refusal", f.known(bare), c.repeats)
	}
	f.refused(catalog.Batch{Recordings: lines(1, f.recording(3, "s1"), full, wrong)}, 3, domain.KindConflict, otherSum("b"))
	equal(f, "hours 2 and 3 stay empty", f.hour(2).State+" "+f.hour(3).State, "no_data no_data")
}

// sumsOfUploads uploads again, and where a line that came meanwhile tells of other bytes.
func sumsOfUploads(f *fixture) {
	rec, other := f.recording(1, "s1"), f.recording(1, "s1")
	f.upload(rec, "a", true)
	known, err := f.c.ReserveUpload(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	equal(f, "the sum that it must have", *known.SHA256, *sum("a"))
	f.takeRecordings(rec)
	f.plan()
	f.publish(1)
	again := f.reserved(rec, "a", false)
	again.ETag = "moved"
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, again))
	equal(f, "after a repetition", f.known(rec), "a upload moved")
	again.SHA256, again.ETag = nil, "" // it was only compared by its CRC-32
	f.must(f.c.RegisterUpload(f.ctx, f.tenant, again))
	equal(f, "after one without a sum", f.known(rec), "a upload moved")
	f.rebuilding("after repetitions", 1, false)
	ofObject, err := f.c.KnownSum(f.ctx, f.tenant, rec.ObjectKey)
	f.must(err)
	equal(f, "the object's", *ofObject, *sum("a"))
	foreign, err := f.c.KnownSum(f.ctx, "other", rec.ObjectKey)
	f.must(err)
	equal(f, "another tenant's", foreign, nil)

	early := f.reserved(other, "a", true)
	other.SHA256 = sum("b")
	f.takeRecordings(other)
	f.publishLater(1)
	f.wantKind(f.c.RegisterUpload(f.ctx, f.tenant, early), domain.KindConflict)
	equal(f, "known after a refusal", f.known(other), "b line ")
	f.rebuilding("after a refusal", 1, false)
	f.upload(other, "b", true)
	equal(f, "known after the right bytes", f.known(other), "b line eb")
}

// sumsLearnt checks which recordings take a sum that was computed from their bytes.
func sumsLearnt(f *fixture) {
	fresh, told, otherwise, otherSize, otherCRC := f.recording(1, "s1"), f.recording(1, "s1"), f.recording(1, "s1"), f.recording(1, "s1"), f.recording(1, "s1")
	fresh.Size, told.SHA256, otherwise.SHA256 = nil, sum("a"), sum("b")
	otherSize.Size, otherCRC.CRC32 = ptr(int64(999)), ptr(uint32(8))
	all := []domain.Recording{fresh, told, otherwise, otherSize, otherCRC}
	f.takeRecordings(all...)
	sums := make([]catalog.LearntSum, catalog.MaxSums)
	for i := range sums {
		sums[i] = catalog.LearntSum{ObjectKey: fmt.Sprint("unknown/", i)}
	}
	for i, rec := range all {
		sums[i] = learnt(rec, "a")
	}
	f.must(f.c.LearnSums(f.ctx, f.tenant, f.day, domain.SumPatrol, sums))
	f.must(f.c.LearnSums(f.ctx, f.tenant, f.day, domain.SumPatrol, nil))
	for i, want := range []string{"a patrol ea", "a line ea", "b line ", "", ""} {
		equal(f, fmt.Sprint("recording ", i), f.known(all[i]), want)
	}
	f.plan()
	for _, rec := range f.stored(1).Recordings {
		if rec.ObjectKey == fresh.ObjectKey {
			equal(f, "what a build gets", fmt.Sprint(rec.SHA256, " ", rec.ETag), sum("a").String()+" ea")
		}
	}
}

// sumsCorrected corrects sums, and sizes and CRC-32 of recordings that have a sum.
func sumsCorrected(f *fixture) {
	of := func(text string) domain.Recording {
		rec := f.recording(1, "s1")
		if text != "" {
			rec.SHA256 = sum(text)
		}
		f.takeRecordings(rec)
		return rec
	}
	toB := func(k *catalog.Correction) { k.SHA256 = sum("b") }
	size := func(k *catalog.Correction) { k.Size = ptr(int64(20)) }

	told := of("a")
	done := f.correct(told, toB)
	equal(f, "changed", fmt.Sprint(done.Changed), fmt.Sprintf("map[sha256:{%s %s}]", sum("a"), sum("b")))
	equal(f, "corrected", f.known(told), "b correction ")
	now := told
	now.SHA256 = sum("b")
	equal(f, "changed by the line as it was and as it is", f.takeRecordings(told, now, told).Changed, 0)
	now.SHA256 = sum("c")
	f.refused(catalog.Batch{Recordings: lines(1, now)}, 1, domain.KindConflict, fmt.Sprintf(`"sha256" is %s, and this recording is known to have %s`, sum("c"), sum("b"))+orCorrect)
	equal(f, "changed by a correction to what stands", len(f.correct(told, toB).Changed), 0)

	line, build := of("a"), of("")
	f.must(f.c.LearnSums(f.ctx, f.tenant, f.day, domain.SumBuild, []catalog.LearntSum{learnt(line, "a"), learnt(build, "a")}))
	f.correct(line, size)
	equal(f, "a line's sum stays with another size", f.known(line), "a line ")
	equal(f, "the sum of other bytes goes", fmt.Sprint(f.correct(build, size).Changed), fmt.Sprintf("map[sha256:{%s <nil>} sizeBytes:{1000 20}]", sum("a")))
	equal(f, "after it", f.known(build), "")

	uploaded := of("")
	f.upload(uploaded, "a", true)
	_, err := f.c.Correct(f.ctx, f.correction(uploaded, toB))
	f.wantKind(err, domain.KindConflict)
	equal(f, "after a refusal", f.known(uploaded), "a upload ea")
	f.correct(uploaded, func(k *catalog.Correction) {
		toB(k)
		size(k)
		k.CRC32 = ptr(uint32(8))
	})
	equal(f, "all of other bytes", f.known(uploaded), "b correction ")
	bytes, err := f.c.ReserveUpload(f.ctx, f.tenant, uploaded.ObjectKey)
	f.must(err)
	equal(f, "bytes that may come", fmt.Sprint(*bytes.Size, *bytes.CRC32, bytes.SHA256), "20 8"+" "+sum("b").String())
}

// mismatchesAudited finds other bytes, in builds and by readers, several times within an hour.
func mismatchesAudited(f *fixture) {
	rec := f.recording(1, "s1")
	rec.SHA256 = sum("a")
	f.takeRecordings(rec, f.recording(1, "s1"))
	f.plan()
	missing := []catalog.MissingFile{{ObjectKey: "gone", Reason: catalog.ReasonNotFound}, {ObjectKey: rec.ObjectKey, Reason: catalog.ReasonChecksum, SHA256: sum("b")}}
	for range 2 {
		f.must(f.c.Fail(f.ctx, f.claim(1), catalog.Failure{Kind: domain.KindAllMissing, Message: "m", Missing: missing}))
		f.force(1)
	}
	claim, built := f.start(1)
	built.Missing = missing
	f.must(f.c.Commit(f.ctx, claim, built))
	list := f.mismatches()
	equal(f, "lines of two failures and a build", len(list), 1)
	equal(f, "line", fmt.Sprint(list[0].Actor, " ", string(list[0].Detail)), fmt.Sprintf(
		`worker {"reader":"build","day":%q,"hour":"01","count":1,"recordings":[{"object":%q,"sha256":%q,"sha256Origin":"line","found":%q}]}`,
		f.day, rec.ObjectKey, sum("a"), sum("b")))
	story, err := f.c.HourHistory(f.ctx, f.key(1))
	f.must(err)
	equal(f, "found", *story.Missing[1].SHA256, *sum("b"))
	tell := func(key string) {
		f.must(f.c.AuditMismatch(f.ctx, catalog.WorkerOrigin(), f.tenant, domain.ReaderPatrol, key, *sum("b")))
	}
	for range 2 {
		tell(rec.ObjectKey)
		tell("unknown")
	}
	equal(f, "lines with those of the patrol", len(f.mismatches()), 3)
	f.pass(hourPassed)
	tell(rec.ObjectKey)
	equal(f, "an hour later", len(f.mismatches()), 4)
}

// mismatches gives the audit lines about other bytes, newest first.
func (f *fixture) mismatches() []audit.Entry {
	f.Helper()
	list, err := f.c.LatestAudit(f.ctx, f.tenant, "", -1, 99)
	f.must(err)
	return slices.DeleteFunc(list, func(e audit.Entry) bool { return e.Action != catalog.ActionMismatch })
}
