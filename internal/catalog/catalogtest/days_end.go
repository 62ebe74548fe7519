package catalogtest

import (
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// before moves the clock to so long before the day's end.
func (b *bench) before(left time.Duration) {
	b.Helper()
	b.passUntil(b.view().RetentionEnd.Add(-left))
}

// dueWithin fails unless an hour is due from least to most from now. The clock goes on meanwhile.
func (b *bench) dueWithin(what string, hour int, least, most time.Duration) {
	b.Helper()
	wait := b.hour(hour).Due.Sub(b.now())
	if wait < least-time.Minute || wait > most {
		b.Fatalf("%s: due in %v, want %v to %v", what, wait, least, most)
	}
}

// ended ends the day and says how many of its hours were not built.
func (b *bench) ended() int {
	b.Helper()
	b.before(0)
	list, err := b.c.ExpireDays(b.ctx, 100)
	b.must(err)
	equal(b, "days ended", len(list), 1)
	equal(b, "the day that ended", list[0].DayKey, catalog.DayKey{Tenant: b.tenant, Day: b.day})
	v := b.view()
	equal(b, "hours that were not built", v.Unbuilt, list[0].Unbuilt)
	equal(b, "cut short", v.CutShort, list[0].Unbuilt > 0)
	return list[0].Unbuilt
}

// lateBeforeTheEnd registers into a served hour while its day is about to end.
func lateBeforeTheEnd(b *bench) {
	b.add(1, 2)
	b.plan()
	b.publish(1)
	b.publish(2) // in a second
	late := func(hour int) int {
		n, err := b.register([]domain.Recording{b.recording(hour, "late")})
		b.must(err)
		return n
	}
	b.before(8 * time.Minute)
	equal(b, "too late", late(2), 0)
	b.dueWithin("with time left", 2, 3*time.Minute, 3*time.Minute)
	b.before(time.Minute)
	equal(b, "too late", late(1), 0)
	b.dueWithin("a minute before the end", 1, 0, 0)
	b.publish(1)
	b.publish(2)
	equal(b, "too late so far", b.view().TooLate, 0)

	b.before(5 * time.Second)
	equal(b, "too late for a build", late(1), 1)
	b.dueWithin("too late, and tried all the same", 1, 0, 0)
	equal(b, "not built", b.ended(), 1)
	equal(b, "came after the end", b.view().TooLate, 0)
	equal(b, "cut short", b.standing().CutShort, 1)
	equal(b, "too late, after the end", late(2), 1)
	equal(b, "not built at the end", b.view().Unbuilt, 1)

	b.must(b.c.Reopen(b.ctx, b.tenant, b.day))
	equal(b, "reopened", b.view().CutShort, false)
	equal(b, "cut short after the reopening", b.standing().CutShort, 0)
	b.publish(1)
	b.publish(2)
	b.before(0)
	late(1) // after the end, before the planner saw it: no hour lacked anything then
	equal(b, "not built", b.ended(), 0)
	equal(b, "cut short after all", b.standing().CutShort, 0)
}

// failsUntilTheEnd lets the rebuild of a served hour fail until its day ends.
func failsUntilTheEnd(b *bench) {
	b.add(1)
	b.plan()
	claim, built := b.start(1)
	built.Took = 10 * time.Minute
	b.must(b.c.Commit(b.ctx, claim, built))
	b.before(time.Hour)
	b.add(1)
	b.dueWithin("twice the last build", 1, 20*time.Minute, 20*time.Minute)
	b.pass(20 * time.Minute)
	fail := func(final bool) {
		b.Helper()
		b.must(b.c.Fail(b.ctx, b.claim(1), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: final}))
	}
	fail(true) // tried again in an hour: the day ends in 40 minutes
	b.dueWithin("while a build fits", 1, 20*time.Minute, 20*time.Minute)
	b.pass(20 * time.Minute)
	fail(true)
	b.dueWithin("when it hardly fits", 1, 0, 15*time.Second)
	n, err := b.register([]domain.Recording{b.recording(1, "late"), b.recording(3, "late")})
	b.must(err)
	equal(b, "too late: where the last build took half of what is left", n, 1)
	b.pass(5 * time.Minute)
	b.publish(3)
	equal(b, "not built", b.ended(), 1)
	equal(b, "cut short", b.standing().CutShort, 1)
}

// nothingWaitsPastTheEnd asks for every time that is set anew while a day is about to end.
func nothingWaitsPastTheEnd(b *bench) {
	b.add(1, 2, 3)
	b.plan()
	b.publish(1)
	b.publish(2)
	missing := b.publishMissing(3, "not_found")
	b.before(40 * time.Minute)
	b.add(3)
	b.pass(5 * time.Minute)
	for range 20 {
		b.claim(3)
		b.pass(time.Minute + time.Second) // its lease
		_, err := b.c.ReleaseLapsed(b.ctx, 10)
		b.must(err)
	}
	b.dueWithin("too many lapses", 3, 9*time.Minute, 10*time.Minute)
	b.before(7 * time.Minute)
	b.add(1, 2)
	b.pass(3 * time.Minute)
	claim, built := b.start(1)
	b.add(1) // while it is built
	b.must(b.c.Commit(b.ctx, claim, built))
	b.dueWithin("a commit", 1, 0, 0)
	empty := b.claim(2)
	b.must(b.c.CommitEmpty(b.ctx, empty, 0))
	b.dueWithin("an empty commit", 2, 0, 0)

	b.must(b.c.Reopen(b.ctx, b.tenant, b.day)) // another end, and files that are missing
	b.before(30 * time.Minute)
	looks := b.rechecks()
	equal(b, "looks", len(looks), 1)
	equal(b, "looked for", looks[0].ObjectKey, missing.ObjectKey())
	b.must(b.c.Rechecked(b.ctx, looks[0], false))
	b.pass(26 * time.Minute)
	equal(b, "looks before the end", len(b.rechecks()), 1)
}

// endComesNearer shortens a retention: what waits longer is due at once.
func endComesNearer(b *bench) {
	b.add(1)
	b.plan()
	b.publish(1)
	b.passUntil(b.view().Completed.Add(24*time.Hour - 4*time.Minute))
	b.add(1)
	b.dueWithin("two days before the end", 1, 5*time.Minute, 5*time.Minute)
	_, err := b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.RetentionDays = 1 })
	b.must(err)
	n, err := b.c.RepairHours(b.ctx)
	b.must(err)
	equal(b, "healed", n, 1)
	b.publish(1)
	equal(b, "not built", b.ended(), 0)
}
