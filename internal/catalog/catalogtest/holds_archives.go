package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// holdRetains ends a day under holds of each scope, and releases them one after the other.
func holdRetains(f *fixture) {
	for name, change := range map[string]func(*fixture){
		"all":          func(f *fixture) { f.hold("first", overAll) },
		"days":         func(f *fixture) { f.hold("first", f.overDay) },
		"conversation": func(f *fixture) { f.hold("first", over("c-s1")) },
	} {
		f.day = domain.DayOf(f.now())
		f.passUntil(f.day.End())
		f.add(1)
		f.takeRecordings(f.recording(2, "s2")) // of another conversation
		f.plan()
		held, other := f.publish(1), f.publish(2)
		change(f)
		f.hold("second", f.overDay)
		f.sweepAll()
		_, err := f.issue()
		f.wantKind(err, domain.KindExpired)
		equal(f, name+": two holds", f.states(held, other), "retained retained")
		f.release("second")
		f.sweepAll()
		want := "retained retained"
		if name == "conversation" {
			want = "retained "
		}
		equal(f, name+": one hold", f.states(held, other), want)
		f.release("first")
		f.pass(23 * time.Hour)
		_, err = f.c.DoomUnused(f.ctx, 100)
		f.must(err)
		equal(f, name+": a day after the release", f.archiveState(held), "retained")
		f.pass(2 * time.Hour)
		f.sweepAll()
		equal(f, name+": after that", f.states(held, other), " ")
	}
}

// holdFormerRevisions keeps a former revision until the hour has one that lacks nothing of it.
func holdFormerRevisions(f *fixture) {
	f.hold("h", f.overDay)
	f.add(1, 2)
	f.plan()
	whole, empty := f.publish(1), f.publish(2)
	f.force(1)
	lacking := f.publishMissing(1, catalog.ReasonNotFound)
	f.pass(3 * time.Hour)
	f.sweep(0)
	equal(f, "while the newer one lacks a recording", f.states(whole, lacking), "superseded published")
	f.force(1)
	second := f.publish(1)
	f.pass(3 * time.Hour)
	f.sweep(2)
	equal(f, "with a newer one that is whole", f.states(whole, lacking, second), "doomed doomed published")
	f.force(2)
	claim, built := f.start(2)
	f.must(f.c.CommitEmpty(f.ctx, claim, built.Wanted)) // as after corrections
	f.pass(3 * time.Hour)
	f.sweep(0)
	equal(f, "retired", f.archiveState(empty), "superseded")
	f.sweepAll()
	equal(f, "after the day's end", f.states(whole, lacking, second, empty), "  retained retained")
}

// holdSpares creates holds when archives are doomed already, deleting, or deleted once.
func holdSpares(f *fixture) {
	f.add(1, 2, 3)
	f.plan()
	former, deleting, gone := f.publish(1), f.publish(2), f.publish(3)
	f.force(1)
	last := f.publishMissing(1, catalog.ReasonNotFound)
	f.pass(3 * time.Hour)
	f.sweep(0)
	f.hold("h", f.overDay)
	f.release("h")
	f.pass(25 * time.Hour)
	f.sweep(0)
	equal(f, "state", f.archiveState(former), "superseded")
	f.passUntil(f.view().RetentionEnd.Add(time.Second))
	f.expire(1)
	f.pass(2 * time.Hour)
	equal(f, "ended", f.states(former, last, deleting, gone), "doomed doomed doomed doomed")
	started, err := f.c.StartDeletion(f.ctx, f.doomed()[deleting.ObjectKey()])
	f.must(err)
	equal(f, "started", started, true)
	e, detail := f.last()
	equal(f, "line", fmt.Sprint(e.Actor, " ", e.Action, " ", detail), fmt.Sprintf("worker archive.delete map[cause:retention day:%s hour:02 manifestSha256:ab objectKey:%s revision:1]",
		f.day, deleting.ObjectKey()))
	d := f.doomed()[former.ObjectKey()]
	f.deleted(gone.ObjectKey())
	r := f.hold("h", overAll)
	equal(f, "spared", r.Spared, 2)
	equal(f, "states", f.states(former, last, deleting, gone), "retained retained deleting deleting")
	equal(f, "going", fmt.Sprint(r.Going, r.Deleting), fmt.Sprint(2, []catalog.GoingArchive{
		{ObjectKey: deleting.ObjectKey(), Day: f.day, Hour: "02", Revision: 1}, {ObjectKey: gone.ObjectKey(), Day: f.day, Hour: "03", Revision: 1}}))
	started, err = f.c.StartDeletion(f.ctx, d) // a sweeper had listed it before
	f.must(err)
	equal(f, "started under a hold", started, false)
	f.must(f.c.Deleted(f.ctx, former.ObjectKey()))
	f.sweepAll()
	equal(f, "after sweeps", f.states(former, last, deleting, gone), "retained retained  ")
}

// holdReopened reopens a day whose archives were retained: they are served again.
func holdReopened(f *fixture) {
	f.add(1, 2, 3)
	f.plan()
	whole, lacking := f.publish(1), f.publishMissing(2, catalog.ReasonNotFound)
	f.hold("h", f.overDay)
	f.sweepAll()
	late := f.recording(1, "s1")
	late.Timestamp = f.day.Start().Add(4 * time.Hour)
	f.takeRecordings(late)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, counsel))
	equal(f, "states", f.states(whole, lacking), "published published")
	for hour, want := range map[int]string{1: "available 1 false", 2: "available 1 true", 3: "pending 0 false", 4: "pending 0 false"} {
		h := f.hour(hour)
		equal(f, fmt.Sprint("hour ", hour), fmt.Sprint(h.State, " ", h.Revision, " ", h.Rebuilding), want)
	}
	f.noClaim(1)
	f.publish(2)
	f.publish(3)
	f.publish(4)
	equal(f, "superseded", f.archiveState(lacking), "superseded")
	f.release("h")
	f.sweepAll()
	f.sweepAll()
	equal(f, "after the second end", f.states(whole, lacking), " ")
}

// holdCorrections refuses to take a recording out of what a hold covers.
func holdCorrections(f *fixture) {
	f.retain(30)
	rec := f.recording(1, "s1")
	f.takeRecordings(rec)
	later := rec.Timestamp.Add(time.Hour)
	for name, scope := range map[string]func(){
		"all":          func() { f.hold("h", overAll) },
		"days":         func() { f.hold("h", f.overDay) },
		"conversation": func() { f.hold("h", over(rec.ConversationID)) },
	} {
		scope()
		for _, change := range []func(*catalog.Correction){
			func(k *catalog.Correction) { k.Timestamp = &later },
			func(k *catalog.Correction) { k.ConversationID = ptr("another") },
		} {
			_, err := f.c.Correct(f.ctx, f.correction(rec, change))
			if domain.KindOf(err) != domain.KindConflict {
				f.Errorf("under a hold over %s: %v", name, err)
			}
		}
		f.correct(rec, func(k *catalog.Correction) { k.Size = ptr(int64(len(name))) })
		f.release("h")
		f.pass(25 * time.Hour)
	}
	f.correct(rec, func(k *catalog.Correction) { k.Timestamp = &later })
}

// holdUnfinished keeps an object that was never published, as far as the catalog knows.
func holdUnfinished(f *fixture) {
	f.add(1)
	f.plan()
	claim, _ := f.start(1)
	f.must(f.c.Release(f.ctx, claim))
	f.hold("h", f.overDay)
	f.passUntil(f.view().RetentionEnd.Add(time.Hour))
	f.expire(1)
	equal(f, "keep", f.doomed()[claim.ObjectKey()].KeepObject, true)
	started, err := f.c.StartDeletion(f.ctx, f.doomed()[claim.ObjectKey()])
	f.must(err)
	equal(f, "started", started, false)
	f.release("h")
	f.pass(25 * time.Hour)
	equal(f, "keep after the release", f.doomed()[claim.ObjectKey()].KeepObject, false)
}

// lockedDeletions are refused by the store. The audit log says once that the bytes go, and that
// they stay after all when a hold comes before they went.
func lockedDeletions(f *fixture) {
	f.add(1)
	f.plan()
	former := f.publish(1)
	f.force(1)
	f.publish(1)
	f.pass(3 * time.Hour)
	f.sweep(1)
	for range 3 {
		started, err := f.c.StartDeletion(f.ctx, f.doomed()[former.ObjectKey()])
		f.must(err)
		equal(f, "started", started, true)
		f.must(f.c.StillLocked(f.ctx, former.ObjectKey(), f.now().Add(time.Minute)))
		f.pass(2 * time.Hour)
	}
	equal(f, "lines", f.auditLines(catalog.ActionArchiveDelete), 1)
	f.lacksNow()
	equal(f, "spared", f.hold("h", overAll).Spared, 1)
	equal(f, "lines of what stays", f.auditLines(catalog.ActionArchiveKeep), 1)
}

// auditLines counts the tenant's latest lines of an action in the audit log.
func (f *fixture) auditLines(action string) (n int) {
	f.Helper()
	list, err := f.c.LatestAudit(f.ctx, f.tenant, "", -1, 20)
	f.must(err)
	for _, e := range list {
		if e.Action == action {
			n++
		}
	}
	return n
}

// lacksNow makes the served archives lack a recording, so that a hold keeps the former ones too.
func (f *fixture) lacksNow() {
	f.Helper()
	_, err := f.c.DB().ExecContext(f.ctx, `UPDATE archives SET missing_count = 1, missing = '[{"objectKey":"x","reason":"not_found"}]' WHERE state = 'published'`)
	f.must(err)
}
