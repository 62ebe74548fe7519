package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func (f *fixture) backlog() catalog.Backlog {
	f.Helper()
	s, err := f.c.Backlog(f.ctx)
	f.must(err)
	return s
}

func numbers(d catalog.DaysBacklog) string {
	return fmt.Sprintf("%d available, %d no data, %d pending, %d failed; %d planned, %d incomplete",
		d.Available, d.NoData, d.Pending, d.Failed, d.Planned, d.Incomplete)
}

// backlog follows one night from its plan to the end of its retention.
func backlog(f *fixture) {
	empty := f.backlog()
	equal(f, "tenants that had no yesterday yet", empty.Tenants, 0)
	equal(f, "nothing", numbers(empty.Yesterday)+numbers(empty.Other), numbers(catalog.DaysBacklog{})+numbers(catalog.DaysBacklog{}))

	f.add(3, 4, 5)
	s := f.backlog()
	equal(f, "tenants", s.Tenants, 1)
	equal(f, "before the plan", numbers(s.Yesterday), "0 available, 0 no data, 24 pending, 0 failed; 0 planned, 1 incomplete")
	equal(f, "due before the plan", s.Due, 0)

	_, err := f.c.PlanDay(f.ctx, f.tenant, f.day)
	f.must(err)
	f.publish(3)
	f.must(f.c.Fail(f.ctx, f.claim(4), catalog.Failure{Kind: domain.KindStoreFault, Message: "full", Final: true}))
	s = f.backlog()
	equal(f, "halfway", numbers(s.Yesterday), "1 available, 21 no data, 1 pending, 1 failed; 1 planned, 1 incomplete")
	equal(f, "due", s.Due, 1)
	if wait := s.Now.Sub(s.OldestDue); wait < 0 || wait > time.Hour {
		f.Errorf("the oldest due hour waits for %v", wait)
	}
	equal(f, "nothing is built", s.Building == 0 && s.OldestBuild.IsZero(), true)
	f.claim(5)
	s = f.backlog()
	equal(f, "building", s.Building, 1)
	equal(f, "nothing is due", s.Due == 0 && s.OldestDue.IsZero(), true)
	if took := s.Now.Sub(s.OldestBuild); took < 0 || took > time.Hour {
		f.Errorf("the build runs for %v", took)
	}

	f.pass(24 * time.Hour)
	s = f.backlog()
	equal(f, "the night before last", numbers(s.Other), "0 available, 0 no data, 1 pending, 1 failed; 0 planned, 1 incomplete")
	f.pass(4 * 24 * time.Hour)
	equal(f, "cut short while it goes on", f.backlog().CutShort, 0)
	f.expire(1)
	s = f.backlog()
	equal(f, "after its end", numbers(s.Other), numbers(catalog.DaysBacklog{}))
	equal(f, "cut short", s.CutShort, 1)
	f.pass(8 * 24 * time.Hour)
	equal(f, "cut short a week ago", f.backlog().CutShort, 0)
}

// backlogNights counts tenants without open work, unplanned days and missing files.
func backlogNights(f *fixture) {
	f.newTenant("idle", 3)
	equal(f, "idle tenants without a plan are incomplete", f.backlog().Yesterday.Incomplete, 0)
	f.failHour(domain.HourKey{Tenant: "acme", Day: f.day, Hour: 7})
	equal(f, "a failed hour of a day without a plan", numbers(f.backlog().Yesterday),
		"0 available, 0 no data, 23 pending, 1 failed; 0 planned, 1 incomplete")

	older := f.day.Add(-1)
	f.day = older
	f.add(1)
	equal(f, "an older day without a plan", f.backlog().Other.Incomplete, 1)
	_, err := f.c.PlanDay(f.ctx, "idle", older)
	f.must(err)
	equal(f, "an older day without anything", f.backlog().Other.Incomplete, 1)
	f.plan()
	claim, in := f.start(1)
	f.must(f.c.StartArchive(f.ctx, claim))
	f.must(f.c.Commit(f.ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Files: 1, Sessions: []domain.Session{{SessionID: "s1"}}, Size: 1000,
		Missing: []catalog.MissingFile{{ObjectKey: "a", Reason: "vanished"}, {ObjectKey: "b", Reason: "vanished"}}}))
	s := f.backlog()
	equal(f, "older days", s.Other.Incomplete, 0)
	equal(f, "hours that lack files, files", fmt.Sprint(s.MissingHours, s.MissingFiles), "1 2")
	f.force(1)
	f.publish(1)
	equal(f, "missing files of a revision that is served no more", f.backlog().MissingFiles, 0)
}
