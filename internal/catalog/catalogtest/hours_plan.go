package catalogtest

import (
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func planDay(b *bench) {
	b.add(3, 14, 14)
	before := b.view()
	equal(b, "state of a registered hour", before.Hours[14].State, catalog.StatePending)
	equal(b, "state of an hour nobody named", before.Hours[5].State, catalog.StatePending)
	p := b.plan()
	equal(b, "planned", p, catalog.PlanResult{Open: true, Due: 2})
	v := b.view()
	for i, h := range v.Hours {
		want := catalog.StateNoData
		if i == 3 || i == 14 {
			want = catalog.StatePending
		}
		equal(b, "state after the plan", h.State, want)
		equal(b, "planned", h.Planned, true)
		equal(b, "due", h.Due.IsZero(), want == catalog.StateNoData)
	}
	equal(b, "completed while hours are pending", v.Completed.IsZero(), true)
	equal(b, "planned at", v.Planned.IsZero(), false)
	b.publish(3)
	equal(b, "completed with one hour pending", b.view().Completed.IsZero(), true)
	b.publish(14)
	done := b.view().Completed
	equal(b, "completed", done.IsZero(), false)

	b.pass(time.Hour)
	b.add(5)
	b.pass(time.Hour)
	b.publish(5)
	equal(b, "completed stays", b.view().Completed, done)
	equal(b, "retention counts from completion", b.view().RetentionEnd, done.Add(72*time.Hour))

	b.day = b.day.Add(-1) // a day without anything is complete at its plan
	b.plan()
	equal(b, "completed without data", b.view().Completed.IsZero(), false)
	_, failed := b.view().Unfinished(-1)
	equal(b, "failed", failed, 0)
}

func planAgain(b *bench) {
	b.add(3)
	b.plan()
	first := b.view()
	b.pass(time.Minute)
	equal(b, "second plan", b.plan(), catalog.PlanResult{Open: true, Due: 1})
	second := b.view()
	equal(b, "planned at", second.Planned, first.Planned)
	equal(b, "due at", second.Hours[3].Due, first.Hours[3].Due)
	b.publish(3)
	done := b.view().Completed
	b.pass(time.Minute)
	equal(b, "third plan", b.plan(), catalog.PlanResult{Open: true})
	equal(b, "completed", b.view().Completed, done)
	equal(b, "revision", b.hour(3).Revision, 1)
}

func planOpenDay(b *bench) {
	b.day = domain.DayOf(b.now()).Add(1)
	_, err := b.c.PlanDay(b.ctx, b.tenant, b.day)
	b.wantKind(err, domain.KindInvalid)
	_, err = b.c.Rebuild(b.ctx, b.tenant, b.day, -1, true)
	b.wantKind(err, domain.KindInvalid)
	b.wantKind(b.c.Reopen(b.ctx, b.tenant, b.day), domain.KindInvalid)
	equal(b, "known", b.view().Known, false)
	_, err = b.c.PlanDay(b.ctx, "nobody", b.day.Add(-3))
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.Day(b.ctx, "nobody", b.day)
	b.wantKind(err, domain.KindNotFound)
}

func registerBeforePlan(b *bench) {
	b.add(7)
	b.add(7)
	h := b.hour(7)
	equal(b, "due before the plan", h.Due.IsZero(), true)
	b.noClaim(7)
	n, err := b.c.RepairHours(b.ctx)
	b.must(err)
	equal(b, "healed", n, 0)
	b.plan()
	in, err := b.c.BuildInput(b.ctx, b.claim(7))
	b.must(err)
	equal(b, "wanted", in.Wanted, 2)
	equal(b, "recordings", len(in.Recordings), 2)
}

func registerAfterPlan(b *bench) {
	b.plan()
	before := b.now()
	b.add(9)
	h := b.hour(9)
	equal(b, "state", h.State, catalog.StatePending)
	if h.Due.Before(before.Add(5*time.Minute)) || h.Due.After(b.now().Add(5*time.Minute)) {
		b.Fatalf("due at %v, want five minutes after %v", h.Due, before)
	}
	b.noClaim(9)
	b.pass(2 * time.Minute)
	b.add(9)
	equal(b, "due with company", b.hour(9).Due, h.Due)
	b.pass(3 * time.Minute)
	equal(b, "files", len(b.input(9).Recordings), 2)
}

func (b *bench) input(hour int) catalog.BuildInput {
	b.Helper()
	in, err := b.c.BuildInput(b.ctx, b.claim(hour))
	b.must(err)
	return in
}

func lateRule(b *bench) {
	b.add(1)
	b.plan()
	claim, built := b.start(1)
	built.Took = time.Hour
	b.must(b.c.Commit(b.ctx, claim, built))
	before := b.now()
	b.add(1)
	h := b.hour(1)
	if h.Due.Before(before.Add(2*time.Hour)) || h.Due.After(b.now().Add(2*time.Hour)) {
		b.Fatalf("due at %v, want two hours after %v", h.Due, before)
	}
	equal(b, "state", h.State, catalog.StateAvailable)
	equal(b, "rebuilding", h.Rebuilding, true)
}

func heal(b *bench) {
	b.add(1, 2)
	b.plan()
	b.publish(1)
	n, err := b.c.RepairHours(b.ctx)
	b.must(err)
	equal(b, "healed", n, 0)
}

func rebuild(b *bench) {
	b.add(1, 2)
	n, err := b.c.Rebuild(b.ctx, b.tenant, b.day, -1, false) // plans
	b.must(err)
	equal(b, "due", n, 2)
	b.publish(1)
	b.publish(2)
	n, err = b.c.Rebuild(b.ctx, b.tenant, b.day, -1, false)
	b.must(err)
	equal(b, "due when complete", n, 0)
	b.add(2)
	b.noClaim(2)
	n, err = b.c.Rebuild(b.ctx, b.tenant, b.day, -1, false)
	b.must(err)
	equal(b, "due without waiting", n, 1)
	b.publish(2)
	n, err = b.c.Rebuild(b.ctx, b.tenant, b.day, -1, true)
	b.must(err)
	equal(b, "due by force", n, 2)
	equal(b, "rebuilding", b.hour(1).Rebuilding, true)
	equal(b, "empty hours", b.hour(5).State, catalog.StateNoData)
	b.publish(1)
	b.publish(2)
	equal(b, "revision", b.hour(2).Revision, 3)
	equal(b, "rebuilding", b.hour(1).Rebuilding, false)
	_, err = b.c.Rebuild(b.ctx, "nobody", b.day, -1, true)
	b.wantKind(err, domain.KindNotFound)
}

func rebuildHour(b *bench) {
	b.add(1, 2)
	n, err := b.c.Rebuild(b.ctx, b.tenant, b.day, 1, false)
	b.must(err)
	equal(b, "due", n, 1)
	equal(b, "other hour planned", b.hour(2).Planned, false)
	equal(b, "day planned", b.view().Planned.IsZero(), true)
	b.publish(1)
	equal(b, "completed", b.view().Completed.IsZero(), true)
	equal(b, "plan", b.plan(), catalog.PlanResult{Open: true, Due: 1})
	b.publish(2)
	equal(b, "completed", b.view().Completed.IsZero(), false)
}
