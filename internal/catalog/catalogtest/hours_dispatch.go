package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/telemetry"
)

func (b *bench) due(epoch string, perTenant, limit int) []catalog.DueHour {
	b.Helper()
	list, err := b.c.DueHours(b.ctx, epoch, perTenant, limit)
	b.must(err)
	return list
}

func (b *bench) dispatched(d catalog.DueHour, epoch string, want bool) {
	b.Helper()
	ok, err := b.c.Dispatched(b.ctx, d.HourKey, d.Dispatch, epoch)
	b.must(err)
	equal(b, "dispatched", ok, want)
}

func dispatch(b *bench) {
	b.add(1, 2)
	equal(b, "due before the plan", len(b.due("e1", 10, 10)), 0)
	b.plan()
	n, next, err := b.c.NextDue(b.ctx)
	b.must(err)
	equal(b, "due now", n, 2)
	list := b.due("e1", 10, 10)
	equal(b, "due", len(list), 2)
	equal(b, "first", list[0].HourKey, b.key(1))
	equal(b, "since", list[0].Since, next)
	b.dispatched(list[0], "e1", true)
	b.dispatched(list[0], "e1", false) // somebody else was faster
	equal(b, "due without the dispatched", len(b.due("e1", 10, 10)), 1)
	other := b.due("e2", 10, 10) // everything again once the queue was lost
	equal(b, "due in another epoch", len(other), 2)
	equal(b, "dispatch number", other[0].Dispatch, 1)

	b.must(b.c.Undispatched(b.ctx, b.key(1), 1))
	equal(b, "due after it came to nothing", len(b.due("e1", 10, 10)), 2)
	b.must(b.c.Undispatched(b.ctx, b.key(1), 1))

	claim := b.claim(1)
	equal(b, "due while held", len(b.due("e1", 10, 10)), 1)
	b.dispatched(other[0], "e1", false) // held: nothing to dispatch
	b.must(b.c.Release(b.ctx, claim))
	equal(b, "due after a release", len(b.due("e1", 10, 10)), 2)
	b.publish(1)
	b.publish(2)
	b.dispatched(list[1], "e1", false) // built: nothing to dispatch
	n, next, err = b.c.NextDue(b.ctx)
	b.must(err)
	equal(b, "due at last", n, 0)
	equal(b, "next", next.IsZero(), true)
	b.add(1)
	_, next, err = b.c.NextDue(b.ctx)
	b.must(err)
	equal(b, "next", next, b.hour(1).Due)
}

// dispatchTraced wants the trace of who asked for an hour with it until somebody builds it.
func dispatchTraced(b *bench) {
	const asked = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b.add(1, 2)
	b.plan()
	_, err := b.c.RebuildAudited(telemetry.FromTraceparent(b.ctx, asked), catalog.RebuildRequest{Tenant: b.key(2).Tenant, Day: b.key(2).Day, Hour: 2})
	b.must(err)
	list := b.due("e1", 10, 10)
	equal(b, "due", len(list), 2)
	for _, d := range list {
		want := ""
		if d.Hour == 2 {
			want = asked
		}
		equal(b, "trace", d.Trace, want)
		b.dispatched(d, "e1", true)
	}
	equal(b, "trace of a task that was lost", b.due("e2", 10, 10)[1].Trace, asked)
	b.must(b.c.Release(b.ctx, b.claim(2)))
	equal(b, "trace once it was built", b.due("e2", 10, 10)[1].Trace, "")
}

func dispatchFair(b *bench) {
	for hour := range 10 {
		b.add(hour)
	}
	b.plan()
	for i := range 3 {
		small := fmt.Sprintf("small%d", i)
		b.newTenant(small, 3)
		b.tenant = small
		b.add(5, 6)
		b.plan()
	}
	count := func(list []catalog.DueHour) map[string]int {
		m := map[string]int{}
		for _, d := range list {
			m[d.Tenant]++
		}
		return m
	}
	first := b.due("e1", 4, 4)
	equal(b, "listed", len(first), 4)
	for tenant, n := range count(first) {
		equal(b, "of "+tenant, n, 1)
	}
	all := count(b.due("e1", 4, 100))
	equal(b, "of the large one", all["acme"], 4)
	equal(b, "of a small one", all["small0"], 2)
	for _, d := range b.due("e1", 4, 100) {
		b.dispatched(d, "e1", true)
	}
	equal(b, "at the cap", len(b.due("e1", 4, 100)), 0)
	b.tenant = "acme"
	b.publish(0) // makes room for one
	room := b.due("e1", 4, 100)
	equal(b, "room", len(room), 1)
	equal(b, "next", room[0].HourKey, b.key(4))
	equal(b, "a lost queue", len(b.due("e2", 4, 100)), 10)
}

func outstanding(b *bench) {
	b.add(1, 2)
	b.plan()
	list := b.due("e1", 10, 10)
	b.dispatched(list[0], "e1", true)
	old := func(epoch string) int {
		list, err := b.c.Outstanding(b.ctx, epoch, time.Minute, 10)
		b.must(err)
		return len(list)
	}
	equal(b, "young", old("e1"), 0)
	b.pass(time.Minute)
	equal(b, "old", old("e1"), 1)
	equal(b, "of another epoch", old("e2"), 0)
	claim := b.claim(1)
	equal(b, "while built", old("e1"), 0)
	b.must(b.c.Release(b.ctx, claim))
	equal(b, "given back", old("e1"), 0)
}
