package catalogtest

import (
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const retention = 72 * time.Hour

func (b *bench) expire(want int) {
	b.Helper()
	ended, err := b.c.ExpireDays(b.ctx, 100)
	b.must(err)
	equal(b, "days ended", len(ended), want)
}

// passUntil moves the clock to at, at least.
func (b *bench) passUntil(at time.Time) {
	b.Helper()
	b.pass(at.Sub(b.now()))
}

func expiry(b *bench) {
	b.add(1, 2)
	b.plan()
	one := b.publish(1)
	b.publish(2)
	b.passUntil(b.view().RetentionEnd.Add(-time.Minute))
	b.expire(0)
	equal(b, "expired", b.view().Expired, false)
	b.pass(time.Minute)
	equal(b, "expired by the clock", b.view().Expired, true)
	_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, -1, true)
	b.wantKind(err, domain.KindExpired)
	b.expire(1)
	b.expire(0)
	v := b.view()
	equal(b, "expired", v.Expired, true)
	for _, h := range v.Hours {
		equal(b, "state", h.State, catalog.StateExpired)
		equal(b, "archive", h.Archive == nil, true)
		equal(b, "due", h.Due.IsZero(), true)
	}
	equal(b, "running downloads end in peace", b.isDoomed(one.ObjectKey()), false)
	b.pass(time.Hour)
	equal(b, "its bytes go", b.isDoomed(one.ObjectKey()), true)
	equal(b, "plan", b.plan(), catalog.PlanResult{})
	b.noClaim(1)
	n, err := b.c.RepairHours(b.ctx)
	b.must(err)
	equal(b, "healed", n, 0)
}

func expiryMeetsBuild(b *bench) {
	b.add(1, 2)
	b.plan()
	one, built := b.start(1)
	two, builtTwo := b.start(2)
	b.pass(retention + 48*time.Hour) // never complete: the day's own end counts
	// The commit itself finds the day over, whether or not anybody marked it.
	b.wantKind(b.c.Commit(b.ctx, one, built), domain.KindLost)
	b.expire(1)
	b.wantKind(b.c.Commit(b.ctx, two, builtTwo), domain.KindLost)
	b.wantKind(b.c.Renew(b.ctx, two), domain.KindLost)
	b.wantKind(b.c.Fail(b.ctx, two, catalog.Failure{Kind: domain.KindInternal}), domain.KindLost)
	b.wantKind(b.c.Release(b.ctx, two), domain.KindLost)
	equal(b, "its bytes go at once", b.isDoomed(one.ObjectKey()), true)
	equal(b, "state", b.hour(1).State, catalog.StateExpired)

	b.day = b.day.Add(-1) // a day past its end gives no claim, ended or not
	b.add(1)
	b.noClaim(1)
	b.expire(1)
	equal(b, "state", b.hour(1).State, catalog.StateExpired)
}

func expiryPauses(b *bench) {
	b.add(1, 2)
	b.plan()
	first := b.publish(1)
	claim, built := b.start(2)
	before := b.shifted
	b.pass(30 * 24 * time.Hour) // the clock steps
	b.add(1, 5)                 // before anybody looked at the clock
	b.wantKind(b.c.Commit(b.ctx, claim, built), domain.KindLost)
	b.must(b.c.PauseDeletions(b.ctx, time.Hour))
	b.expire(0)
	b.wantKind(b.c.Commit(b.ctx, claim, built), domain.KindLost)
	b.must(b.c.Release(b.ctx, claim))
	b.noClaim(2)
	b.add(1, 5)
	_, err := b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.RetentionDays = 1 })
	b.wantKind(err, domain.KindUnavailable)
	_, err = b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.Name = "other" })
	b.must(err)

	b.shifted = before // and steps back: nothing was lost
	b.pass(0)
	b.must(b.c.PauseDeletions(b.ctx, time.Hour))
	v := b.view()
	equal(b, "expired", v.Expired, false)
	equal(b, "served", v.Hours[1].Archive.ObjectKey, first.ObjectKey())
	equal(b, "new hour", v.Hours[5].State, catalog.StatePending)
	b.publish(2)
	n, err := b.c.RepairHours(b.ctx)
	b.must(err)
	equal(b, "healed", n, 2)
	b.publish(1)
	b.publish(5)
	equal(b, "complete", b.view().Completed.IsZero(), false)

	b.pass(retention + 48*time.Hour) // past the pause
	b.expire(1)
	equal(b, "state", b.hour(5).State, catalog.StateExpired)
}

func tooLate(b *bench) {
	b.add(1)
	b.plan()
	b.publish(1)
	b.pass(retention + 48*time.Hour)
	late := []domain.Recording{b.recording(1, "a"), b.recording(2, "a"), b.recording(2, "b")}
	n, err := b.register(late)
	b.must(err)
	equal(b, "too late", n, 3)
	v := b.view()
	equal(b, "counted", v.TooLate, 3)
	equal(b, "state until the planner ends the day", v.Hours[2].State, catalog.StatePending)
	b.noClaim(2)
	b.expire(1)
	equal(b, "state", b.hour(2).State, catalog.StateExpired)
	equal(b, "due", b.hour(2).Due.IsZero(), true)
	n, err = b.register([]domain.Recording{b.recording(3, "a")})
	b.must(err)
	equal(b, "too late", n, 1)
	equal(b, "state", b.hour(3).State, catalog.StateExpired)
	b.day = b.day.Add(-20) // a day nobody named while it was open
	n, err = b.register([]domain.Recording{b.recording(1, "a")})
	b.must(err)
	equal(b, "too late", n, 1)
	b.expire(1)
	equal(b, "state", b.hour(1).State, catalog.StateExpired)
}

func reopen(b *bench) {
	b.add(1)
	b.plan()
	first := b.publish(1)
	done := b.view().Completed
	b.pass(retention + time.Hour)
	b.expire(1)
	b.add(2) // too late, and kept
	b.must(b.c.Reopen(b.ctx, b.tenant, b.day))
	v := b.view()
	equal(b, "expired", v.Expired, false)
	equal(b, "completed stays", v.Completed, done)
	equal(b, "retention counts from now", v.RetentionEnd, v.Reopened.Add(retention))
	equal(b, "hour with data", v.Hours[1].State, catalog.StatePending)
	equal(b, "hour that came too late", v.Hours[2].State, catalog.StatePending)
	equal(b, "hour without", v.Hours[3].State, catalog.StateNoData)
	equal(b, "files", v.Files, 0)
	second := b.publish(1)
	equal(b, "revision goes on", second.Revision, first.Revision+1)
	b.publish(2)
	v = b.view()
	equal(b, "files", v.Files, 2)
	equal(b, "completed stays", v.Completed, done)
	b.pass(2 * time.Hour)
	equal(b, "first archive's bytes go", b.isDoomed(first.ObjectKey()), true)
	equal(b, "second's stay", b.isDoomed(second.ObjectKey()), false)
	b.pass(retention)
	b.expire(1)

	b.must(b.c.Reopen(b.ctx, b.tenant, b.day)) // and once more, twice
	b.pass(time.Hour)
	b.must(b.c.Reopen(b.ctx, b.tenant, b.day))
	b.publish(1)
	b.wantKind(b.c.Reopen(b.ctx, "nobody", b.day), domain.KindNotFound)
}

func reopenUnplanned(b *bench) {
	b.day = b.day.Add(-20)
	b.add(1)
	b.expire(1)
	equal(b, "state", b.hour(1).State, catalog.StateExpired)
	b.must(b.c.Reopen(b.ctx, b.tenant, b.day))
	equal(b, "state", b.hour(1).State, catalog.StatePending)
	equal(b, "plan", b.plan(), catalog.PlanResult{Open: true, Due: 1})
	b.publish(1)
	equal(b, "completed", b.view().Completed.IsZero(), false)
}

func catchUp(b *bench) {
	b.add(1)
	until := b.day
	list := func() []catalog.DayKey {
		keys, err := b.c.UnplannedDays(b.ctx, until, 10)
		b.must(err)
		return keys
	}
	equal(b, "unplanned", len(list()), 1)
	equal(b, "unplanned", list()[0], catalog.DayKey{Tenant: b.tenant, Day: b.day})
	until = b.day.Add(-1)
	equal(b, "unplanned before", len(list()), 0)
	until = b.day
	quiet := func(day domain.Day) int {
		keys, err := b.c.EmptyDays(b.ctx, day, 10)
		b.must(err)
		return len(keys)
	}
	equal(b, "quiet", quiet(b.day), 0)
	equal(b, "quiet the day before", quiet(b.day.Add(-1)), 1)
	equal(b, "quiet past retention", quiet(b.day.Add(-10)), 0)
	_, err := b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.Recordings = false })
	b.must(err)
	equal(b, "unplanned without the feature", len(list()), 0)
	equal(b, "quiet without the feature", quiet(b.day.Add(-1)), 0)
	_, err = b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.Recordings = true })
	b.must(err)
	b.plan()
	equal(b, "unplanned after the plan", len(list()), 0)
	b.day = b.day.Add(-1)
	b.plan()
	equal(b, "quiet after the plan", quiet(b.day), 0)
	longest, err := b.c.LongestRetention(b.ctx)
	b.must(err)
	equal(b, "longest retention", longest, 3)
}
