package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// TestLateRecordings registers recordings during builds: the newest revision has all of them, and
// the published revision is served meanwhile.
func TestLateRecordings(t *testing.T) {
	const rounds = 25
	f := newFixture(t)
	f.env["CALLVAULT_LATE_DELAY"] = "0s"
	f.tenant("acme")
	d := day{"acme", f.yesterday()}
	hours := []int{3, 4, 5}
	var first []recording
	for _, h := range hours {
		first = append(first, spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: h}, "first", 12, 400_000)...)
	}
	f.take(first)
	f.start("api,scheduler")
	slow := f.slowStore(40 * time.Millisecond)
	f.startWith(slow, "worker")
	f.startWith(slow, "worker")
	during := 0
	var wait sync.WaitGroup
	for n := range rounds {
		if n%5 < 3 {
			eventually(t, "an hour is being built", f.someBuilt)
		}
		if f.building() > 0 {
			during++
		}
		for _, h := range hours {
			late := spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: h}, fmt.Sprintf("late%02d", n), 1, 3000)
			f.put(late)
			wait.Go(func() { f.post("acme", late[0]) })
		}
		wait.Wait()
		if n%5 == 3 { // sometimes all is built before the next one comes
			f.waitBuilt(d)
		}
	}
	t.Logf("hours were being built at %d of %d registrations", during, rounds)
	if during < rounds/4 {
		t.Errorf("hours were being built at only %d of %d registrations", during, rounds)
	}
	f.waitBuilt(d)
	f.check(d)
	for _, revision := range f.revisions(d) {
		if revision < 2 {
			t.Errorf("an hour that was added to has revision %d", revision)
		}
	}
	f.clean()
}

// TestLinksStay: links of an older revision still work after a newer one is published.
func TestLinksStay(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme")
	d := day{"acme", f.yesterday()}
	k := domain.HourKey{Tenant: "acme", Day: d.day, Hour: 11}
	f.take(spread(k, "first", 3, 1000))
	f.start("api,scheduler,worker")
	f.waitBuilt(d)
	_, before := f.askDay("acme", d.day)
	truth := f.truth.snapshot()
	f.take(spread(k, "late", 2, 1000))
	eventually(t, "the second revision is published", func(context.Context) string {
		if r := f.revisions(d); r[0] < 2 {
			return fmt.Sprint(r)
		}
		return ""
	})
	f.check(d)
	path, err := f.download(*before.Links[11].URL, "before.zip")
	f.must(err)
	held := map[string][]archived{}
	problems, err := read(f.t.Context(), path, k, before.Links[11], held)
	f.must(err)
	for _, p := range append(problems, compare(held, of(truth, d))...) {
		t.Errorf("the first revision: %s", p)
	}
}
