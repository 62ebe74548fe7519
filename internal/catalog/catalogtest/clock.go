package catalogtest

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/domain"
)

// ShiftClock sets the catalog's time to the database's clock plus d, and writes down a check. It is
// one statement, because a process that checks the clock between two of them would see a step.
func ShiftClock(ctx context.Context, c *catalog.Catalog, d time.Duration) error {
	_, err := c.DB().ExecContext(ctx, `UPDATE clock SET seen_us = (SELECT now_us FROM catalog_clock) - offset_us + $1, offset_us = $1`, d.Microseconds())
	return err
}

// SetClock is ShiftClock without the check.
func SetClock(ctx context.Context, c *catalog.Catalog, d time.Duration) error {
	_, err := c.DB().ExecContext(ctx, `UPDATE clock SET offset_us = $1`, d.Microseconds())
	return err
}

// PauseDeletions stops expiry and deletions for d, from the catalog's present time on.
func PauseDeletions(ctx context.Context, c *catalog.Catalog, d time.Duration) error {
	at, err := c.Now(ctx)
	if err != nil {
		return err
	}
	_, err = c.DB().ExecContext(ctx, `UPDATE clock SET seen_us = $1, paused_until_us = $2`, at.UnixMicro(), at.Add(d).UnixMicro())
	return err
}

// setClock moves the clock by d without a check.
func (f *fixture) setClock(d time.Duration) {
	f.Helper()
	f.shifted += d
	f.must(SetClock(f.ctx, f.c, f.shifted))
}

// checkClock checks the clock as a process does that starts.
func (f *fixture) checkClock() clock.Reading {
	f.Helper()
	s, err := f.c.CheckClock(f.ctx, time.Time{}, 0)
	f.must(err)
	return s
}

// clockAtStart starts with a clock that is ten days ahead.
func clockAtStart(f *fixture) {
	f.add(1, 2)
	f.plan()
	old := f.publish(1)
	claim, _ := f.start(2)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 1, Force: true})
	f.must(err)
	f.publish(1) // supersedes
	equal(f, "trusted", f.checkClock().Trusted, true)

	f.setClock(10 * 24 * time.Hour)
	equal(f, "expired for readers", f.view().Expired, true)
	wantNothingEnds := func(when string) {
		f.Helper()
		f.expire(0)
		doomed, err := f.c.DoomUnused(f.ctx, 10)
		f.must(err)
		equal(f, "doomed "+when, doomed, 0)
		equal(f, "to delete "+when, f.isDoomed(old.ObjectKey()), false)
	}
	retain := func(more int) error {
		_, err := f.c.SetTenant(f.ctx, f.tenant, func(t *domain.Tenant) { t.RetentionDays += more }, audit.Origin{})
		return err
	}
	wantNothingEnds("before anybody looked")
	f.wantKind(retain(1), domain.KindUnavailable) // it would end the day
	s := f.checkClock()
	equal(f, "trusted", s.Trusted, false)
	equal(f, "step", s.Step.Round(time.Hour), 10*24*time.Hour)
	wantNothingEnds("after the first look")
	f.wantKind(retain(1), domain.KindUnavailable)
	s = f.checkClock() // another process
	equal(f, "step for the next", s.Step, 0)
	equal(f, "trusted for the next", s.Trusted, false)

	f.setClock(-10 * 24 * time.Hour)
	wantNothingEnds("when the clock is back")
	f.must(retain(1)) // nothing ends by it
	f.must(retain(-1))
	s = f.checkClock()
	equal(f, "step back", s.Step.Round(time.Hour), -10*24*time.Hour)
	equal(f, "expired", f.view().Expired, false)
	equal(f, "served", f.hour(1).Archive != nil, true)
	f.must(f.c.Release(f.ctx, claim))
	f.publish(2)

	// After an hour the clock is trusted, right or wrong, as long as it is checked.
	f.pass(retention + 48*time.Hour)
	f.setClock(11 * time.Minute)
	f.expire(0)
	last := f.now()
	f.setClock(9 * time.Minute)
	s, err = f.c.CheckClock(f.ctx, last, 9*time.Minute) // a process that ran all the time confirms it
	f.must(err)
	equal(f, "trusted", s.Trusted, true)
	f.expire(1)
}

// clockOfNewCatalog checks that a catalog without days needs no pause.
func clockOfNewCatalog(f *fixture) {
	f.setClock(100 * 24 * time.Hour)
	f.retain(4)
	s := f.checkClock()
	equal(f, "trusted", s.Trusted, true)
	equal(f, "step", s.Step, 0)
	f.retain(5)
}

// clockStays checks that a second check within a minute writes nothing.
func clockStays(f *fixture) {
	f.add(1)
	f.checkClock()
	first := f.now()
	s, err := f.c.CheckClock(f.ctx, first.Add(-time.Hour), time.Hour-11*time.Minute)
	f.must(err)
	equal(f, "step", s.Step.Round(time.Minute), 11*time.Minute)
	s, err = f.c.CheckClock(f.ctx, first, 0)
	f.must(err)
	equal(f, "trusted", s.Trusted, false)
	f.pass(time.Hour)
	equal(f, "trusted", f.checkClock().Trusted, true)
}

// daysOfWrongClock repairs days that were planned and settled while the clock was ten days ahead.
func daysOfWrongClock(f *fixture) {
	f.retain(30)
	ahead := 10 * 24 * time.Hour
	yesterday := f.day
	f.add(1)
	f.plan()
	_, before := f.claim(1), yesterday.Add(-1)
	f.day = before
	f.add(3)
	f.plan()
	claim, built := f.start(3)

	f.setClock(ahead)
	f.checkClock()
	f.must(f.c.Commit(f.ctx, claim, built)) // a day planned in time, settled too late
	today := yesterday.Add(1)
	f.day = today
	f.add(0)
	f.plan()
	first := f.publish(0)
	f.day = today.Add(5)
	equal(f, "future day", f.plan().Open, true)
	n, err := f.c.RepairDays(f.ctx, 10)
	f.must(err)
	equal(f, "repaired while the clock is ahead", n, 0)

	f.setClock(-ahead)
	f.checkClock()
	n, err = f.c.RepairDays(f.ctx, 10)
	f.must(err)
	equal(f, "repaired while the clock is in doubt", n, 0)
	f.pass(61 * time.Minute)
	n, err = f.c.RepairDays(f.ctx, 2)
	f.must(err)
	equal(f, "repaired at once", n, 2)
	n, err = f.c.RepairDays(f.ctx, 10)
	f.must(err)
	equal(f, "repaired then", n, 1)
	n, err = f.c.RepairDays(f.ctx, 10)
	f.must(err)
	equal(f, "repaired again", n, 0)

	future := f.view()
	equal(f, "planned", future.Planned.IsZero(), true)
	equal(f, "settled", future.Settled.IsZero(), true)
	equal(f, "state", future.Hours[7].State, catalog.StatePending)
	f.day = before
	v := f.view()
	equal(f, "planned in time", v.Planned.IsZero(), false)
	equal(f, "settled now", v.Settled.After(v.Now.Add(-time.Minute)) && !v.Settled.After(v.Now), true)
	f.day = today
	v = f.view()
	equal(f, "planned", v.Planned.IsZero(), true)
	equal(f, "settled", v.Settled.IsZero(), true)
	equal(f, "served", v.Hours[0].Archive.ObjectKey, first.ObjectKey())
	equal(f, "state", v.Hours[1].State, catalog.StatePending)
	f.add(0, 1)
	equal(f, "due before the plan", f.hour(1).Due.IsZero(), true)
	f.passUntil(today.End().Add(2 * time.Hour))
	equal(f, "due by the plan", f.plan(), catalog.PlanResult{Open: true, Due: 2})
	f.publish(0)
	f.publish(1)
	v = f.view()
	equal(f, "settled in time", !v.Settled.IsZero() && !v.Settled.After(v.Now), true)
	equal(f, "state", v.Hours[2].State, catalog.StateNoData)
}

// futureWindows uses limits up while the clock is ahead. When the clock is right again these uses
// do not count, and earlier ones do.
func futureWindows(f *fixture) {
	claim := f.commitNext(5, 10)
	download := func() (catalog.Window, error) {
		begun, err := f.c.BeginDownload(f.ctx, catalog.Download{HourKey: f.key(5), Token: claim.Token, Revision: 1, Origin: audit.Origin{Actor: "link"}})
		return begun.Window, err
	}
	use := func(what string, used int) {
		f.Helper()
		issued, err := f.issue()
		f.must(err)
		equal(f, what+": day", issued.Window.Used, used)
		w, err := download()
		f.must(err)
		equal(f, what+": download", w.Used, used)
		for what, w := range map[string]catalog.Window{"day": issued.Window, "download": w} {
			equal(f, what+" falls out within the hour", w.Reset <= time.Hour+time.Minute, true)
		}
	}
	use("before", 1)
	use("before", 2)
	f.pass(30 * time.Minute)
	for i := range 3 {
		use("ahead", i+3)
	}
	_, err := download()
	f.wantKind(err, domain.KindLimited)
	f.pass(-30 * time.Minute)
	a, err := f.c.LinkAccess(f.ctx, f.key(5), claim.Token, catalog.Holder{})
	f.must(err)
	equal(f, "back, to look at", a.Window.Used, 2)
	for i := range 3 {
		use("back", i+3)
	}
	_, err = f.issue()
	f.wantKind(err, domain.KindLimited)
	f.pass(30 * time.Minute) // the time of the wrong clock comes
	_, err = download()
	f.wantKind(err, domain.KindLimited)
	f.pass(24 * time.Hour)
	for i := range 5 {
		use("a day later", i+1)
	}
	_, err = f.issue()
	f.wantKind(err, domain.KindLimited)
	f.pass(-26 * time.Hour)
	use("before everything", 1)
	use("before everything", 2)
}
