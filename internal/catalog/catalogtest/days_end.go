package catalogtest

import (
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// before sets the clock to a time before the day's end.
func (f *fixture) before(left time.Duration) {
	f.Helper()
	f.passUntil(f.view().RetentionEnd.Add(-left))
}

// dueWithin checks that an hour is due between least and most from now.
func (f *fixture) dueWithin(what string, hour int, least, most time.Duration) {
	f.Helper()
	wait := f.hour(hour).Due.Sub(f.now())
	if wait < least-time.Minute || wait > most {
		f.Fatalf("%s: due in %v, want %v to %v", what, wait, least, most)
	}
}

// ended ends the day and says how many of its hours were not built.
func (f *fixture) ended() int {
	f.Helper()
	f.before(0)
	list, err := f.c.ExpireDays(f.ctx, 100)
	f.must(err)
	equal(f, "days ended", len(list), 1)
	equal(f, "the day that ended", list[0].DayKey, catalog.DayKey{Tenant: f.tenant, Day: f.day})
	v := f.view()
	equal(f, "hours that were not built", v.Unbuilt, list[0].Unbuilt)
	equal(f, "cut short", v.CutShort, list[0].Unbuilt > 0)
	return list[0].Unbuilt
}

// lateBeforeTheEnd registers into a served hour while its day is about to end.
func lateBeforeTheEnd(f *fixture) {
	f.add(1, 2)
	f.plan()
	f.publish(1)
	f.publish(2) // in a second
	late := func(hour int) int {
		n, err := f.register([]domain.Recording{f.recording(hour, "late")})
		f.must(err)
		return n
	}
	f.before(8 * time.Minute)
	equal(f, "too late", late(2), 0)
	f.dueWithin("with time left", 2, 3*time.Minute, 3*time.Minute)
	f.before(time.Minute)
	equal(f, "too late", late(1), 0)
	f.dueWithin("a minute before the end", 1, 0, 0)
	f.publish(1)
	f.publish(2)
	equal(f, "too late so far", f.view().TooLate, 0)

	f.before(5 * time.Second)
	equal(f, "too late for a build", late(1), 1)
	f.dueWithin("too late, and tried all the same", 1, 0, 0)
	equal(f, "not built", f.ended(), 1)
	equal(f, "came after the end", f.view().TooLate, 0)
	equal(f, "cut short", f.backlog().CutShort, 1)
	equal(f, "too late, after the end", late(2), 1)
	equal(f, "not built at the end", f.view().Unbuilt, 1)

	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	equal(f, "reopened", f.view().CutShort, false)
	equal(f, "cut short after the reopening", f.backlog().CutShort, 0)
	f.publish(1)
	f.publish(2)
	f.before(0)
	late(1) // after the end, before the planner marked it: no hour was incomplete then
	equal(f, "not built", f.ended(), 0)
	equal(f, "cut short after all", f.backlog().CutShort, 0)
}

// failsUntilTheEnd makes the rebuild of a served hour fail until its day ends.
func failsUntilTheEnd(f *fixture) {
	f.add(1)
	f.plan()
	claim, built := f.start(1)
	built.Took = 10 * time.Minute
	f.must(f.c.Commit(f.ctx, claim, built))
	f.before(time.Hour)
	f.add(1)
	f.dueWithin("twice the last build", 1, 20*time.Minute, 20*time.Minute)
	f.pass(20 * time.Minute)
	fail := func(final bool) {
		f.Helper()
		f.must(f.c.Fail(f.ctx, f.claim(1), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: final}))
	}
	fail(true) // tried again in an hour: the day ends in 40 minutes
	f.dueWithin("while a build fits", 1, 20*time.Minute, 20*time.Minute)
	f.pass(20 * time.Minute)
	fail(true)
	f.dueWithin("when it hardly fits", 1, 0, 15*time.Second)
	n, err := f.register([]domain.Recording{f.recording(1, "late"), f.recording(3, "late")})
	f.must(err)
	equal(f, "too late: where the last build took half of what is left", n, 1)
	f.pass(5 * time.Minute)
	f.publish(3)
	equal(f, "not built", f.ended(), 1)
	equal(f, "cut short", f.backlog().CutShort, 1)
}

// nothingWaitsPastTheEnd checks every due time that is set shortly before a day ends.
func nothingWaitsPastTheEnd(f *fixture) {
	f.add(1, 2, 3)
	f.plan()
	f.publish(1)
	f.publish(2)
	missing := f.publishMissing(3, "not_found")
	f.before(40 * time.Minute)
	f.add(3)
	f.pass(5 * time.Minute)
	for range 20 {
		f.claim(3)
		f.pass(time.Minute + time.Second) // its lease
		_, err := f.c.ReleaseLapsed(f.ctx, 10)
		f.must(err)
	}
	f.dueWithin("too many lapses", 3, 9*time.Minute, 10*time.Minute)
	f.before(7 * time.Minute)
	f.add(1, 2)
	f.pass(3 * time.Minute)
	claim, built := f.start(1)
	f.add(1) // while it is built
	f.must(f.c.Commit(f.ctx, claim, built))
	f.dueWithin("a commit", 1, 0, 0)
	empty := f.claim(2)
	f.must(f.c.CommitEmpty(f.ctx, empty, 0))
	f.dueWithin("an empty commit", 2, 0, 0)

	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{})) // another end, and files that are missing
	f.before(30 * time.Minute)
	looks := f.rechecks()
	equal(f, "looks", len(looks), 1)
	equal(f, "looked for", looks[0].ObjectKey, missing.ObjectKey())
	f.must(f.c.Rechecked(f.ctx, looks[0], false))
	f.pass(26 * time.Minute)
	equal(f, "looks before the end", len(f.rechecks()), 1)
}

// endComesNearer shortens a retention: hours that would wait too long are due at once.
func endComesNearer(f *fixture) {
	f.add(1)
	f.plan()
	f.publish(1)
	f.passUntil(f.view().Settled.Add(24*time.Hour - 4*time.Minute))
	f.add(1)
	f.dueWithin("two days before the end", 1, 5*time.Minute, 5*time.Minute)
	_, err := f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.RetentionDays = 1 }, audit.Origin{})
	f.must(err)
	n, err := f.c.RepairHours(f.ctx)
	f.must(err)
	equal(f, "repaired", n, 1)
	f.publish(1)
	equal(f, "not built", f.ended(), 0)
}
