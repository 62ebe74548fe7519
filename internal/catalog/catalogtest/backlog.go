package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func (b *bench) standing() catalog.Backlog {
	b.Helper()
	s, err := b.c.Backlog(b.ctx)
	b.must(err)
	return s
}

func numbers(d catalog.DaysBacklog) string {
	return fmt.Sprintf("%d available, %d no data, %d pending, %d failed; %d planned, %d incomplete",
		d.Available, d.NoData, d.Pending, d.Failed, d.Planned, d.Incomplete)
}

// standing follows one night from its plan to the end of its retention.
func standing(b *bench) {
	empty := b.standing()
	equal(b, "tenants that had no yesterday yet", empty.Tenants, 0)
	equal(b, "nothing", numbers(empty.Yesterday)+numbers(empty.Other), numbers(catalog.DaysBacklog{})+numbers(catalog.DaysBacklog{}))

	b.add(3, 4, 5)
	s := b.standing()
	equal(b, "tenants", s.Tenants, 1)
	equal(b, "before the plan", numbers(s.Yesterday), "0 available, 0 no data, 24 pending, 0 failed; 0 planned, 1 incomplete")
	equal(b, "due before the plan", s.Due, 0)

	_, err := b.c.PlanDay(b.ctx, b.tenant, b.day)
	b.must(err)
	b.publish(3)
	b.must(b.c.Fail(b.ctx, b.claim(4), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
	s = b.standing()
	equal(b, "halfway", numbers(s.Yesterday), "1 available, 21 no data, 1 pending, 1 failed; 1 planned, 1 incomplete")
	equal(b, "due", s.Due, 1)
	if wait := s.Now.Sub(s.OldestDue); wait < 0 || wait > time.Hour {
		b.Errorf("the oldest due hour waits for %v", wait)
	}
	equal(b, "nothing is built", s.Building == 0 && s.OldestBuild.IsZero(), true)
	b.claim(5)
	s = b.standing()
	equal(b, "building", s.Building, 1)
	equal(b, "nothing is due", s.Due == 0 && s.OldestDue.IsZero(), true)
	if took := s.Now.Sub(s.OldestBuild); took < 0 || took > time.Hour {
		b.Errorf("the build runs for %v", took)
	}

	b.pass(24 * time.Hour)
	s = b.standing()
	equal(b, "the night before last", numbers(s.Other), "0 available, 0 no data, 1 pending, 1 failed; 0 planned, 1 incomplete")
	b.pass(4 * 24 * time.Hour)
	equal(b, "cut short while it goes on", b.standing().CutShort, 0)
	b.expire(1)
	s = b.standing()
	equal(b, "after its end", numbers(s.Other), numbers(catalog.DaysBacklog{}))
	equal(b, "cut short", s.CutShort, 1)
	b.pass(8 * 24 * time.Hour)
	equal(b, "cut short a week ago", b.standing().CutShort, 0)
}

// standingNights looks at tenants without anything to wait for, unplanned days and missing files.
func standingNights(b *bench) {
	b.newTenant("quiet", 3)
	equal(b, "quiet tenants without a plan are incomplete", b.standing().Yesterday.Incomplete, 0)
	b.failHour(domain.HourKey{Tenant: "acme", Day: b.day, Hour: 7})
	equal(b, "a failed hour of a day without a plan", numbers(b.standing().Yesterday),
		"0 available, 0 no data, 23 pending, 1 failed; 0 planned, 1 incomplete")

	older := b.day.Add(-1)
	b.day = older
	b.add(1)
	equal(b, "an older day without a plan", b.standing().Other.Incomplete, 1)
	_, err := b.c.PlanDay(b.ctx, "quiet", older)
	b.must(err)
	equal(b, "an older day without anything", b.standing().Other.Incomplete, 1)
	b.plan()
	claim, in := b.start(1)
	b.must(b.c.StartArchive(b.ctx, claim))
	b.must(b.c.Commit(b.ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Files: 1, Sessions: []domain.Session{{SessionID: "s1"}}, Size: 1000,
		Missing: []catalog.MissingFile{{ObjectKey: "a", Reason: "vanished"}, {ObjectKey: "b", Reason: "vanished"}}}))
	s := b.standing()
	equal(b, "older days", s.Other.Incomplete, 0)
	equal(b, "hours that lack files, files", fmt.Sprint(s.MissingHours, s.MissingFiles), "1 2")
	b.force(1)
	b.publish(1)
	equal(b, "missing files of a revision that is served no more", b.standing().MissingFiles, 0)
}
