package catalogtest

import (
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// stray moves the clock by d while nobody looks.
func (b *bench) stray(d time.Duration) {
	b.Helper()
	b.shifted += d
	b.must(b.c.SetClock(b.ctx, b.shifted))
}

// see looks at the clock as a process that begins.
func (b *bench) see() catalog.ClockCheck {
	b.Helper()
	s, err := b.c.CheckClock(b.ctx, time.Time{}, 0)
	b.must(err)
	return s
}

// clockAtStart begins with a clock that is ten days ahead.
func clockAtStart(b *bench) {
	b.add(1, 2)
	b.plan()
	old := b.publish(1)
	claim, _ := b.start(2)
	_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, 1, true)
	b.must(err)
	b.publish(1) // supersedes
	equal(b, "calm", b.see().Trusted, true)

	b.stray(10 * 24 * time.Hour)
	equal(b, "expired for readers", b.view().Expired, true)
	wantNothingEnds := func(when string) {
		b.Helper()
		b.expire(0)
		doomed, err := b.c.DoomUnused(b.ctx, 10)
		b.must(err)
		equal(b, "doomed "+when, doomed, 0)
		equal(b, "to delete "+when, b.isDoomed(old.ObjectKey()), false)
	}
	retain := func(more int) error {
		_, err := b.c.SetTenant(b.ctx, b.tenant, func(t *domain.Tenant) { t.RetentionDays += more })
		return err
	}
	wantNothingEnds("before anybody looked")
	b.wantKind(retain(1), domain.KindUnavailable) // it would end the day
	s := b.see()
	equal(b, "calm", s.Trusted, false)
	equal(b, "step", s.Step.Round(time.Hour), 10*24*time.Hour)
	wantNothingEnds("after the first look")
	b.wantKind(retain(1), domain.KindUnavailable)
	s = b.see() // another process
	equal(b, "step for the next", s.Step, 0)
	equal(b, "calm for the next", s.Trusted, false)

	b.stray(-10 * 24 * time.Hour)
	wantNothingEnds("when the clock is back")
	b.must(retain(1)) // nothing ends by it
	b.must(retain(-1))
	s = b.see()
	equal(b, "step back", s.Step.Round(time.Hour), -10*24*time.Hour)
	equal(b, "expired", b.view().Expired, false)
	equal(b, "served", b.hour(1).Archive != nil, true)
	b.must(b.c.Release(b.ctx, claim))
	b.publish(2)

	// After an hour the clock is believed, right or not, as long as somebody looks.
	b.pass(retention + 48*time.Hour)
	b.stray(11 * time.Minute)
	b.expire(0)
	last := b.now()
	b.stray(9 * time.Minute)
	s, err = b.c.CheckClock(b.ctx, last, 9*time.Minute) // who was up all the time vouches for it
	b.must(err)
	equal(b, "calm", s.Trusted, true)
	b.expire(1)
}

// clockOfNewCatalog never looked at its clock: with nothing to lose it needs no pause.
func clockOfNewCatalog(b *bench) {
	b.stray(100 * 24 * time.Hour)
	b.retain(4)
	s := b.see()
	equal(b, "calm", s.Trusted, true)
	equal(b, "step", s.Step, 0)
	b.retain(5)
}

// clockStays writes nothing down when it was looked at a moment ago.
func clockStays(b *bench) {
	b.add(1)
	b.see()
	first := b.now()
	s, err := b.c.CheckClock(b.ctx, first.Add(-time.Hour), time.Hour-11*time.Minute)
	b.must(err)
	equal(b, "step", s.Step.Round(time.Minute), 11*time.Minute)
	s, err = b.c.CheckClock(b.ctx, first, 0)
	b.must(err)
	equal(b, "calm", s.Trusted, false)
	b.pass(time.Hour)
	equal(b, "calm", b.see().Trusted, true)
}

// daysOfWrongClock were planned and completed by a clock that was ten days ahead.
func daysOfWrongClock(b *bench) {
	b.retain(30)
	ahead := 10 * 24 * time.Hour
	yesterday := b.day
	b.add(1)
	b.plan()
	_, before := b.claim(1), yesterday.Add(-1)
	b.day = before
	b.add(3)
	b.plan()
	claim, built := b.start(3)

	b.stray(ahead)
	b.see()
	b.must(b.c.Commit(b.ctx, claim, built)) // a day planned in time, completed too late
	today := yesterday.Add(1)
	b.day = today
	b.add(0)
	b.plan()
	first := b.publish(0)
	b.day = today.Add(5)
	equal(b, "future day", b.plan().Open, true)
	n, err := b.c.RepairDays(b.ctx, 10)
	b.must(err)
	equal(b, "healed while the clock is ahead", n, 0)

	b.stray(-ahead)
	b.see()
	n, err = b.c.RepairDays(b.ctx, 10)
	b.must(err)
	equal(b, "healed while the clock is in doubt", n, 0)
	b.pass(61 * time.Minute)
	n, err = b.c.RepairDays(b.ctx, 2)
	b.must(err)
	equal(b, "healed at once", n, 2)
	n, err = b.c.RepairDays(b.ctx, 10)
	b.must(err)
	equal(b, "healed then", n, 1)
	n, err = b.c.RepairDays(b.ctx, 10)
	b.must(err)
	equal(b, "healed again", n, 0)

	future := b.view()
	equal(b, "planned", future.Planned.IsZero(), true)
	equal(b, "completed", future.Completed.IsZero(), true)
	equal(b, "state", future.Hours[7].State, catalog.StatePending)
	b.day = before
	v := b.view()
	equal(b, "planned in time", v.Planned.IsZero(), false)
	equal(b, "completed now", v.Completed.After(v.Now.Add(-time.Minute)) && !v.Completed.After(v.Now), true)
	b.day = today
	v = b.view()
	equal(b, "planned", v.Planned.IsZero(), true)
	equal(b, "completed", v.Completed.IsZero(), true)
	equal(b, "served", v.Hours[0].Archive.ObjectKey, first.ObjectKey())
	equal(b, "state", v.Hours[1].State, catalog.StatePending)
	b.add(0, 1)
	equal(b, "due before the plan", b.hour(1).Due.IsZero(), true)
	b.passUntil(today.End().Add(2 * time.Hour))
	equal(b, "due by the plan", b.plan(), catalog.PlanResult{Open: true, Due: 2})
	b.publish(0)
	b.publish(1)
	v = b.view()
	equal(b, "completed in time", !v.Completed.IsZero() && !v.Completed.After(v.Now), true)
	equal(b, "state", v.Hours[2].State, catalog.StateNoData)
}

// futureWindows used its limits up while the clock was ahead: they count no more once it is back,
// and what was used before the clock strayed still does.
func futureWindows(b *bench) {
	claim := b.commitNext(5, 10)
	download := func() (catalog.Window, error) {
		return b.c.BeginDownload(b.ctx, catalog.Download{HourKey: b.key(5), Token: claim.Token, Revision: 1, Origin: catalog.Origin{Actor: "link"}})
	}
	use := func(what string, used int) {
		b.Helper()
		issued, err := b.issue()
		b.must(err)
		equal(b, what+": day", issued.Window.Used, used)
		w, err := download()
		b.must(err)
		equal(b, what+": download", w.Used, used)
		for what, w := range map[string]catalog.Window{"day": issued.Window, "download": w} {
			equal(b, what+" falls out within the hour", w.Reset <= time.Hour+time.Minute, true)
		}
	}
	use("before", 1)
	use("before", 2)
	b.pass(30 * time.Minute)
	for i := range 3 {
		use("ahead", i+3)
	}
	_, err := download()
	b.wantKind(err, domain.KindLimited)
	b.pass(-30 * time.Minute)
	a, err := b.c.LinkAccess(b.ctx, b.key(5), claim.Token)
	b.must(err)
	equal(b, "back, to look at", a.Window.Used, 2)
	for i := range 3 {
		use("back", i+3)
	}
	_, err = b.issue()
	b.wantKind(err, domain.KindLimited)
	b.pass(30 * time.Minute) // the time that was false comes
	_, err = download()
	b.wantKind(err, domain.KindLimited)
	b.pass(24 * time.Hour)
	for i := range 5 {
		use("a day later", i+1)
	}
	_, err = b.issue()
	b.wantKind(err, domain.KindLimited)
	b.pass(-26 * time.Hour)
	use("before everything", 1)
	use("before everything", 2)
}
