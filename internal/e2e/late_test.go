package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// TestLateRecordings registers recordings at every moment of running builds: each ends in the newest
// revision, and the published one stays meanwhile.
func TestLateRecordings(t *testing.T) {
	const rounds = 25
	w := newWorld(t)
	w.env["CALLVAULT_LATE_DELAY"] = "0s"
	w.tenant("acme")
	d := day{"acme", w.yesterday()}
	hours := []int{3, 4, 5}
	var first []recording
	for _, h := range hours {
		first = append(first, spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: h}, "first", 12, 400_000)...)
	}
	w.take(first)
	w.start("api,scheduler")
	slow := w.slowStore(40 * time.Millisecond)
	w.startWith(slow, "worker")
	w.startWith(slow, "worker")
	during := 0
	var wait sync.WaitGroup
	for n := range rounds {
		if n%5 < 3 {
			eventually(t, "an hour is being built", w.someBuilt)
		}
		if w.building() > 0 {
			during++
		}
		for _, h := range hours {
			late := spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: h}, fmt.Sprintf("late%02d", n), 1, 3000)
			w.put(late)
			wait.Go(func() { w.post("acme", late[0]) })
		}
		wait.Wait()
		if n%5 == 3 { // the next one comes when all is built
			w.settled(d)
		}
	}
	t.Logf("hours were being built at %d of %d registrations", during, rounds)
	if during < rounds/4 {
		t.Errorf("hours were being built at only %d of %d registrations", during, rounds)
	}
	w.settled(d)
	w.check(d)
	for _, revision := range w.revisions(d) {
		if revision < 2 {
			t.Errorf("an hour that was added to has revision %d", revision)
		}
	}
	w.clean()
}

// TestLinksStay has links of an older revision work on after a newer one is published.
func TestLinksStay(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme")
	d := day{"acme", w.yesterday()}
	k := domain.HourKey{Tenant: "acme", Day: d.day, Hour: 11}
	w.take(spread(k, "first", 3, 1000))
	w.start("api,scheduler,worker")
	w.settled(d)
	_, before := w.askDay("acme", d.day)
	truth := w.truth.snapshot()
	w.take(spread(k, "late", 2, 1000))
	eventually(t, "the second revision is published", func(context.Context) string {
		if r := w.revisions(d); r[0] < 2 {
			return fmt.Sprint(r)
		}
		return ""
	})
	w.check(d)
	path, err := w.download(*before.Links[11].URL, "before.zip")
	w.must(err)
	held := map[string][]archived{}
	problems, err := read(path, k, before.Links[11], held)
	w.must(err)
	for _, p := range append(problems, compare(held, of(truth, d))...) {
		t.Errorf("the first revision: %s", p)
	}
}
