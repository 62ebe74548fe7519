package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/telemetry"
)

func (f *fixture) due(epoch string, perTenant, limit int) []catalog.DueHour {
	f.Helper()
	list, err := f.c.DueHours(f.ctx, epoch, perTenant, limit)
	f.must(err)
	return list
}

func (f *fixture) dispatched(d catalog.DueHour, epoch string, want bool) {
	f.Helper()
	ok, err := f.c.Dispatched(f.ctx, d.HourKey, d.Dispatch, epoch)
	f.must(err)
	equal(f, "dispatched", ok, want)
}

func dispatch(f *fixture) {
	f.add(1, 2)
	equal(f, "due before the plan", len(f.due("e1", 10, 10)), 0)
	f.plan()
	n, next, err := f.c.NextDue(f.ctx)
	f.must(err)
	equal(f, "due now", n, 2)
	list := f.due("e1", 10, 10)
	equal(f, "due", len(list), 2)
	equal(f, "first", list[0].HourKey, f.key(1))
	equal(f, "since", list[0].Since, next)
	f.dispatched(list[0], "e1", true)
	f.dispatched(list[0], "e1", false) // another scheduler was faster
	equal(f, "due without the dispatched", len(f.due("e1", 10, 10)), 1)
	other := f.due("e2", 10, 10) // all hours again after the queue was lost
	equal(f, "due in another epoch", len(other), 2)
	equal(f, "dispatch number", other[0].Dispatch, 1)

	f.must(f.c.Undispatched(f.ctx, f.key(1), 1))
	equal(f, "due after it came to nothing", len(f.due("e1", 10, 10)), 2)
	f.must(f.c.Undispatched(f.ctx, f.key(1), 1))

	claim := f.claim(1)
	equal(f, "due while held", len(f.due("e1", 10, 10)), 1)
	f.dispatched(other[0], "e1", false) // held: nothing to dispatch
	f.must(f.c.Release(f.ctx, claim))
	equal(f, "due after a release", len(f.due("e1", 10, 10)), 2)
	f.publish(1)
	f.publish(2)
	f.dispatched(list[1], "e1", false) // built: nothing to dispatch
	n, next, err = f.c.NextDue(f.ctx)
	f.must(err)
	equal(f, "due at last", n, 0)
	equal(f, "next", next.IsZero(), true)
	f.add(1)
	_, next, err = f.c.NextDue(f.ctx)
	f.must(err)
	equal(f, "next", next, f.hour(1).Due)
}

// dispatchTraced checks that an hour keeps the trace of the request for it until it is claimed.
func dispatchTraced(f *fixture) {
	const asked = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	f.add(1, 2)
	f.plan()
	_, err := f.c.Rebuild(telemetry.FromTraceparent(f.ctx, asked), catalog.RebuildRequest{Tenant: f.key(2).Tenant, Day: f.key(2).Day, Hour: 2})
	f.must(err)
	list := f.due("e1", 10, 10)
	equal(f, "due", len(list), 2)
	for _, d := range list {
		want := ""
		if d.Hour == 2 {
			want = asked
		}
		equal(f, "trace", d.Trace, want)
		f.dispatched(d, "e1", true)
	}
	equal(f, "trace of a task that was lost", f.due("e2", 10, 10)[1].Trace, asked)
	f.must(f.c.Release(f.ctx, f.claim(2)))
	equal(f, "trace once it was built", f.due("e2", 10, 10)[1].Trace, "")
}

func dispatchFair(f *fixture) {
	for hour := range 10 {
		f.add(hour)
	}
	f.plan()
	for i := range 3 {
		small := fmt.Sprintf("small%d", i)
		f.newTenant(small, 3)
		f.tenant = small
		f.add(5, 6)
		f.plan()
	}
	count := func(list []catalog.DueHour) map[string]int {
		m := map[string]int{}
		for _, d := range list {
			m[d.Tenant]++
		}
		return m
	}
	first := f.due("e1", 4, 4)
	equal(f, "listed", len(first), 4)
	for tenant, n := range count(first) {
		equal(f, "of "+tenant, n, 1)
	}
	all := count(f.due("e1", 4, 100))
	equal(f, "of the large one", all["acme"], 4)
	equal(f, "of a small one", all["small0"], 2)
	for _, d := range f.due("e1", 4, 100) {
		f.dispatched(d, "e1", true)
	}
	equal(f, "at the cap", len(f.due("e1", 4, 100)), 0)
	f.tenant = "acme"
	f.publish(0) // makes room for one
	room := f.due("e1", 4, 100)
	equal(f, "room", len(room), 1)
	equal(f, "next", room[0].HourKey, f.key(4))
	equal(f, "a lost queue", len(f.due("e2", 4, 100)), 10)
}

func outstanding(f *fixture) {
	f.add(1, 2)
	f.plan()
	list := f.due("e1", 10, 10)
	f.dispatched(list[0], "e1", true)
	old := func(epoch string) int {
		list, err := f.c.Outstanding(f.ctx, epoch, time.Minute, 10)
		f.must(err)
		return len(list)
	}
	equal(f, "young", old("e1"), 0)
	f.pass(time.Minute)
	equal(f, "old", old("e1"), 1)
	equal(f, "of another epoch", old("e2"), 0)
	claim := f.claim(1)
	equal(f, "while built", old("e1"), 0)
	f.must(f.c.Release(f.ctx, claim))
	equal(f, "given back", old("e1"), 0)
}
