package catalogtest

import (
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

func planDay(f *fixture) {
	f.add(3, 14, 14)
	before := f.view()
	equal(f, "state of a registered hour", before.Hours[14].State, catalog.StatePending)
	equal(f, "state of an hour nobody named", before.Hours[5].State, catalog.StatePending)
	p := f.plan()
	equal(f, "planned", p, catalog.PlanResult{Open: true, Due: 2})
	v := f.view()
	for i, h := range v.Hours {
		want := catalog.StateNoData
		if i == 3 || i == 14 {
			want = catalog.StatePending
		}
		equal(f, "state after the plan", h.State, want)
		equal(f, "planned", h.Planned, true)
		equal(f, "due", h.Due.IsZero(), want == catalog.StateNoData)
	}
	equal(f, "settled while hours are pending", v.Settled.IsZero(), true)
	equal(f, "planned at", v.Planned.IsZero(), false)
	f.publish(3)
	equal(f, "settled with one hour pending", f.view().Settled.IsZero(), true)
	f.publish(14)
	done := f.view().Settled
	equal(f, "settled", done.IsZero(), false)

	f.pass(time.Hour)
	f.add(5)
	f.pass(time.Hour)
	f.publish(5)
	equal(f, "settled stays", f.view().Settled, done)
	equal(f, "retention counts from then", f.view().RetentionEnd, done.Add(72*time.Hour))

	f.day = f.day.Add(-1) // a day without recordings is complete when it is planned
	f.plan()
	equal(f, "settled without data", f.view().Settled.IsZero(), false)
	_, failed := f.view().Unfinished(-1)
	equal(f, "failed", failed, 0)
}

func planAgain(f *fixture) {
	f.add(3)
	f.plan()
	first := f.view()
	f.pass(time.Minute)
	equal(f, "second plan", f.plan(), catalog.PlanResult{Open: true, Due: 1})
	second := f.view()
	equal(f, "planned at", second.Planned, first.Planned)
	equal(f, "due at", second.Hours[3].Due, first.Hours[3].Due)
	f.publish(3)
	done := f.view().Settled
	f.pass(time.Minute)
	equal(f, "third plan", f.plan(), catalog.PlanResult{Open: true})
	equal(f, "settled", f.view().Settled, done)
	equal(f, "revision", f.hour(3).Revision, 1)
}

func planOpenDay(f *fixture) {
	f.day = domain.DayOf(f.now()).Add(1)
	_, err := f.c.PlanDay(f.ctx, f.tenant, f.day)
	f.wantKind(err, domain.KindInvalid)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1, Force: true})
	f.wantKind(err, domain.KindInvalid)
	f.wantKind(f.c.Reopen(f.ctx, f.tenant, f.day, audit.Origin{}), domain.KindInvalid)
	equal(f, "known", f.view().Known, false)
	_, err = f.c.PlanDay(f.ctx, "nobody", f.day.Add(-3))
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.Day(f.ctx, "nobody", f.day)
	f.wantKind(err, domain.KindNotFound)
}

func registerBeforePlan(f *fixture) {
	f.add(7)
	f.add(7)
	h := f.hour(7)
	equal(f, "due before the plan", h.Due.IsZero(), true)
	f.noClaim(7)
	n, err := f.c.RepairHours(f.ctx)
	f.must(err)
	equal(f, "repaired", n, 0)
	f.plan()
	in, err := f.c.BuildInput(f.ctx, f.claim(7))
	f.must(err)
	equal(f, "wanted", in.Wanted, 2)
	equal(f, "recordings", len(in.Recordings), 2)
}

func registerAfterPlan(f *fixture) {
	f.plan()
	before := f.now()
	f.add(9)
	h := f.hour(9)
	equal(f, "state", h.State, catalog.StatePending)
	if h.Due.Before(before.Add(5*time.Minute)) || h.Due.After(f.now().Add(5*time.Minute)) {
		f.Fatalf("due at %v, want five minutes after %v", h.Due, before)
	}
	f.noClaim(9)
	f.pass(2 * time.Minute)
	f.add(9)
	equal(f, "due with company", f.hour(9).Due, h.Due)
	f.pass(3 * time.Minute)
	equal(f, "files", len(f.input(9).Recordings), 2)
}

func (f *fixture) input(hour int) catalog.BuildInput {
	f.Helper()
	in, err := f.c.BuildInput(f.ctx, f.claim(hour))
	f.must(err)
	return in
}

func lateRule(f *fixture) {
	f.add(1)
	f.plan()
	claim, built := f.start(1)
	built.Took = time.Hour
	f.must(f.c.Commit(f.ctx, claim, built))
	before := f.now()
	f.add(1)
	h := f.hour(1)
	if h.Due.Before(before.Add(2*time.Hour)) || h.Due.After(f.now().Add(2*time.Hour)) {
		f.Fatalf("due at %v, want two hours after %v", h.Due, before)
	}
	equal(f, "state", h.State, catalog.StateAvailable)
	equal(f, "rebuilding", h.Rebuilding, true)
}

func repair(f *fixture) {
	f.add(1, 2)
	f.plan()
	f.publish(1)
	n, err := f.c.RepairHours(f.ctx)
	f.must(err)
	equal(f, "repaired", n, 0)
}

func rebuild(f *fixture) {
	f.add(1, 2)
	n, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1}) // plans
	f.must(err)
	equal(f, "due", n, 2)
	f.publish(1)
	f.publish(2)
	n, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1})
	f.must(err)
	equal(f, "due when complete", n, 0)
	f.add(2)
	f.noClaim(2)
	n, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1})
	f.must(err)
	equal(f, "due without waiting", n, 1)
	f.publish(2)
	n, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1, Force: true})
	f.must(err)
	equal(f, "due by force", n, 2)
	equal(f, "rebuilding", f.hour(1).Rebuilding, true)
	equal(f, "empty hours", f.hour(5).State, catalog.StateNoData)
	f.publish(1)
	f.publish(2)
	equal(f, "revision", f.hour(2).Revision, 3)
	equal(f, "rebuilding", f.hour(1).Rebuilding, false)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: "nobody", Day: f.day, Hour: -1, Force: true})
	f.wantKind(err, domain.KindNotFound)
}

func rebuildHour(f *fixture) {
	f.add(1, 2)
	n, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 1})
	f.must(err)
	equal(f, "due", n, 1)
	equal(f, "other hour planned", f.hour(2).Planned, false)
	equal(f, "day planned", f.view().Planned.IsZero(), true)
	f.publish(1)
	equal(f, "settled", f.view().Settled.IsZero(), true)
	equal(f, "plan", f.plan(), catalog.PlanResult{Open: true, Due: 1})
	f.publish(2)
	equal(f, "settled", f.view().Settled.IsZero(), false)
}
