package catalogtest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

const retention = 72 * time.Hour

func (f *fixture) expire(want int) {
	f.Helper()
	ended, err := f.c.ExpireDays(f.ctx, 100)
	f.must(err)
	equal(f, "days ended", len(ended), want)
}

// expireAtOnce checks that of several planners that end one day, one is told that it did.
func (f *fixture) expireAtOnce() {
	f.Helper()
	var group sync.WaitGroup
	var told atomic.Int64
	for range 4 {
		group.Go(func() {
			ended, err := f.c.ExpireDays(f.ctx, 100)
			if err != nil {
				f.Error(err)
			}
			told.Add(int64(len(ended)))
		})
	}
	group.Wait()
	equal(f, "planners that ended the day", told.Load(), 1)
}

// passUntil moves the clock to at, at least.
func (f *fixture) passUntil(at time.Time) {
	f.Helper()
	f.pass(at.Sub(f.now()))
}

func expiry(f *fixture) {
	f.add(1, 2)
	f.plan()
	one := f.publish(1)
	f.publish(2)
	f.passUntil(f.view().RetentionEnd.Add(-time.Minute))
	f.expire(0)
	equal(f, "expired", f.view().Expired, false)
	f.pass(time.Minute)
	equal(f, "expired by the clock", f.view().Expired, true)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1, Force: true})
	f.wantKind(err, domain.KindExpired)
	f.expireAtOnce()
	f.expire(0)
	v := f.view()
	equal(f, "expired", v.Expired, true)
	for _, h := range v.Hours {
		equal(f, "state", h.State, catalog.StateExpired)
		equal(f, "archive", h.Archive == nil, true)
		equal(f, "due", h.Due.IsZero(), true)
	}
	equal(f, "running downloads end in peace", f.isDoomed(one.ObjectKey()), false)
	f.pass(time.Hour)
	equal(f, "its bytes go", f.isDoomed(one.ObjectKey()), true)
	equal(f, "plan", f.plan(), catalog.PlanResult{})
	f.noClaim(1)
	n, err := f.c.RepairHours(f.ctx)
	f.must(err)
	equal(f, "repaired", n, 0)
}

func expiryRacesBuild(f *fixture) {
	f.add(1, 2)
	f.plan()
	one, built := f.start(1)
	two, builtTwo := f.start(2)
	f.pass(retention + 48*time.Hour) // never complete: the day's own end counts
	// The commit fails because the day is over, even if the planner has not marked it.
	f.wantKind(f.c.Commit(f.ctx, one, built), domain.KindLost)
	f.expire(1)
	f.wantKind(f.c.Commit(f.ctx, two, builtTwo), domain.KindLost)
	f.wantKind(f.c.Renew(f.ctx, two), domain.KindLost)
	f.wantKind(f.c.Fail(f.ctx, two, catalog.Failure{Kind: domain.KindInternal}), domain.KindLost)
	f.wantKind(f.c.Release(f.ctx, two), domain.KindLost)
	equal(f, "its bytes go at once", f.isDoomed(one.ObjectKey()), true)
	equal(f, "state", f.hour(1).State, catalog.StateExpired)

	f.day = f.day.Add(-1) // a day past its end gives no claim, ended or not
	f.add(1)
	f.noClaim(1)
	f.expire(1)
	equal(f, "state", f.hour(1).State, catalog.StateExpired)
}

func expiryPauses(f *fixture) {
	f.add(1, 2)
	f.plan()
	first := f.publish(1)
	claim, built := f.start(2)
	before := f.shifted
	f.pass(30 * 24 * time.Hour) // the clock steps
	f.add(1, 5)                 // before the clock is checked
	f.wantKind(f.c.Commit(f.ctx, claim, built), domain.KindLost)
	f.must(PauseDeletions(f.ctx, f.c, time.Hour))
	f.expire(0)
	f.wantKind(f.c.Commit(f.ctx, claim, built), domain.KindLost)
	f.must(f.c.Release(f.ctx, claim))
	f.noClaim(2)
	f.add(1, 5)
	_, err := f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.RetentionDays = 1 }, audit.Origin{})
	f.wantKind(err, domain.KindUnavailable)
	_, err = f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.Name = "other" }, audit.Origin{})
	f.must(err)

	f.shifted = before // the clock steps back: nothing was lost
	f.pass(0)
	f.must(PauseDeletions(f.ctx, f.c, time.Hour))
	v := f.view()
	equal(f, "expired", v.Expired, false)
	equal(f, "served", v.Hours[1].Archive.ObjectKey, first.ObjectKey())
	equal(f, "new hour", v.Hours[5].State, catalog.StatePending)
	f.publish(2)
	n, err := f.c.RepairHours(f.ctx)
	f.must(err)
	equal(f, "repaired", n, 2)
	f.publish(1)
	f.publish(5)
	equal(f, "complete", f.view().Settled.IsZero(), false)

	f.pass(retention + 48*time.Hour) // past the pause
	f.expire(1)
	equal(f, "state", f.hour(5).State, catalog.StateExpired)
}

func tooLate(f *fixture) {
	f.add(1)
	f.plan()
	f.publish(1)
	f.pass(retention + 48*time.Hour)
	late := []domain.Recording{f.recording(1, "a"), f.recording(2, "a"), f.recording(2, "b")}
	n, err := f.register(late)
	f.must(err)
	equal(f, "too late", n, 3)
	v := f.view()
	equal(f, "counted", v.TooLate, 3)
	equal(f, "state until the planner ends the day", v.Hours[2].State, catalog.StatePending)
	f.noClaim(2)
	f.expire(1)
	equal(f, "state", f.hour(2).State, catalog.StateExpired)
	equal(f, "due", f.hour(2).Due.IsZero(), true)
	n, err = f.register([]domain.Recording{f.recording(3, "a")})
	f.must(err)
	equal(f, "too late", n, 1)
	equal(f, "state", f.hour(3).State, catalog.StateExpired)
	f.day = f.day.Add(-20) // a day that had no row while it was open
	n, err = f.register([]domain.Recording{f.recording(1, "a")})
	f.must(err)
	equal(f, "too late", n, 1)
	f.expire(1)
	equal(f, "state", f.hour(1).State, catalog.StateExpired)
}

func reopen(f *fixture) {
	f.add(1)
	f.plan()
	first := f.publish(1)
	done := f.view().Settled
	f.pass(retention + time.Hour)
	f.expire(1)
	f.add(2) // too late, and kept
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	v := f.view()
	equal(f, "expired", v.Expired, false)
	equal(f, "settled stays", v.Settled, done)
	equal(f, "retention counts from now", v.RetentionEnd, v.Reopened.Add(retention))
	equal(f, "hour with data", v.Hours[1].State, catalog.StatePending)
	equal(f, "hour that came too late", v.Hours[2].State, catalog.StatePending)
	equal(f, "hour without", v.Hours[3].State, catalog.StateNoData)
	equal(f, "files", v.Files, 0)
	second := f.publish(1)
	equal(f, "revision goes on", second.Revision, first.Revision+1)
	f.publish(2)
	v = f.view()
	equal(f, "files", v.Files, 2)
	equal(f, "settled stays", v.Settled, done)
	f.pass(2 * time.Hour)
	equal(f, "first archive's bytes go", f.isDoomed(first.ObjectKey()), true)
	equal(f, "second's stay", f.isDoomed(second.ObjectKey()), false)
	f.pass(retention)
	f.expire(1)

	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{})) // and once more, twice
	f.pass(time.Hour)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	f.publish(1)
	f.wantKind(f.c.Reopen(f.ctx, "nobody", f.day, audit.Origin{}), domain.KindNotFound)
}

func reopenUnplanned(f *fixture) {
	f.day = f.day.Add(-20)
	f.add(1)
	f.expire(1)
	equal(f, "state", f.hour(1).State, catalog.StateExpired)
	f.must(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}))
	equal(f, "state", f.hour(1).State, catalog.StatePending)
	equal(f, "plan", f.plan(), catalog.PlanResult{Open: true, Due: 1})
	f.publish(1)
	equal(f, "settled", f.view().Settled.IsZero(), false)
}

func catchUp(f *fixture) {
	f.add(1)
	until := f.day
	list := func() []catalog.DayKey {
		keys, err := f.c.UnplannedDays(f.ctx, until, 10)
		f.must(err)
		return keys
	}
	equal(f, "unplanned", len(list()), 1)
	equal(f, "unplanned", list()[0], catalog.DayKey{Tenant: f.tenant, Day: f.day})
	until = f.day.Add(-1)
	equal(f, "unplanned before", len(list()), 0)
	until = f.day
	equal(f, "empty days", f.emptyDays(f.day), 0)
	equal(f, "empty days the day before", f.emptyDays(f.day.Add(-1)), 1)
	equal(f, "empty days past retention", f.emptyDays(f.day.Add(-10)), 0)
	_, err := f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.Recordings = false }, audit.Origin{})
	f.must(err)
	equal(f, "unplanned without the feature", len(list()), 0)
	equal(f, "empty days without the feature", f.emptyDays(f.day.Add(-1)), 0)
	_, err = f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.Recordings = true }, audit.Origin{})
	f.must(err)
	f.plan()
	equal(f, "unplanned after the plan", len(list()), 0)
	f.day = f.day.Add(-1)
	f.plan()
	equal(f, "empty days after the plan", f.emptyDays(f.day), 0)
	longest, err := f.c.LongestRetention(f.ctx)
	f.must(err)
	equal(f, "longest retention", longest, 3)
}
