package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// jump moves the catalog's clock.
func (w *world) jump(d time.Duration) {
	w.t.Helper()
	w.sql(`UPDATE clock SET offset_us = offset_us + $1`, d.Microseconds())
}

// paused says that a scheduler has seen the clock step.
func (w *world) paused() {
	w.t.Helper()
	eventually(w.t, "deletions pause", func(context.Context) string {
		if w.number(`SELECT count(*) FROM clock WHERE deletions_after > (SELECT now_us FROM catalog_clock)`) == 0 {
			return "they do not"
		}
		return ""
	})
}

// passes waits until each of the schedulers has looked at everything several times more.
func (w *world) passes(schedulers ...*process) {
	w.t.Helper()
	before := map[*process]int{}
	for _, p := range schedulers {
		before[p] = w.passed(p)
	}
	eventually(w.t, "all schedulers have looked again", func(context.Context) string {
		for p, passed := range before {
			if n := w.passed(p) - passed; n < 4 {
				return fmt.Sprint(p.name, " has ", n, " times")
			}
		}
		return ""
	})
}

// passed is how often a scheduler has looked.
func (w *world) passed(scheduler *process) int {
	w.t.Helper()
	_, page := w.request(http.MethodGet, "http://"+scheduler.serving()+"/metrics", map[string]string{"Authorization": "Bearer " + adminToken}, nil)
	found := passedPattern.FindSubmatch(page)
	if found == nil {
		w.t.Fatalf("%s does not tell its passes: %s", scheduler.name, page)
	}
	n, err := strconv.Atoi(string(found[1]))
	w.must(err)
	return n
}

var passedPattern = regexp.MustCompile(`callvault_scheduler_passes_total\{outcome="ok"\} (\d+)`)

// TestClockJumps lets the catalog's clock jump a day ahead in the middle of a night, and back.
func TestClockJumps(t *testing.T) {
	w := newWorld(t)
	w.tenant("short")
	w.ok("tenant", "set", "short", "--retention-days", "1")
	before := w.yesterday()
	w.take(spread(domain.HourKey{Tenant: "short", Day: before, Hour: 3}, "r", 3, 1000))
	days := w.night()
	api, roles := w.start("api"), []*process{w.start("scheduler"), w.start("scheduler")}
	worker := w.start("worker")
	w.settled(append(days, day{"short", before})...)
	w.step("first night")
	worker.term()
	// Archives that a later clock would let go: of a day past its end, and superseded ones.
	w.again(days)
	slow := w.slowStore(4 * time.Millisecond)
	roles = append(roles, w.startWith(slow, "worker"), w.startWith(slow, "worker"))
	eventually(t, "an archive is superseded while others are built", func(ctx context.Context) string {
		if w.number(`SELECT count(*) FROM archives WHERE state = 'superseded'`) == 0 {
			return "none is"
		}
		return w.someBuilt(ctx)
	})
	w.step("rebuilding")
	w.jump(25 * time.Hour)
	w.paused()
	w.step("paused")
	w.settled(days...)
	w.step("second night")
	w.check(days...)
	w.step("checked")
	w.passes(roles[:2]...)
	if n := w.number(`SELECT count(*) FROM archives WHERE state = 'doomed' AND published_us IS NOT NULL`); n > 0 {
		t.Errorf("%d archives were doomed by a clock that jumped", n)
	}
	if n := w.number(`SELECT count(*) FROM days WHERE expired_us IS NOT NULL`); n > 0 {
		t.Errorf("%d days were ended by a clock that jumped", n)
	}
	w.jump(-25 * time.Hour)
	w.passes(roles[:2]...)
	w.check(append(days, day{"short", before})...)
	if n := w.number(`SELECT count(*) FROM hours WHERE token IS NOT NULL`); n > 0 {
		t.Errorf("%d hours are still claimed", n)
	}
	for _, p := range append(roles, api) {
		p.term()
	}
}

// TestNightsNobodyWasUp lets several nights pass without any role running, then starts them.
func TestNightsNobodyWasUp(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme", "quiet")
	w.env["CALLVAULT_SCHEDULE"], w.env["CALLVAULT_ADMIN_TOKEN"] = "30 2 * * *", adminToken // which shows numbers
	today := w.yesterday().Add(1)
	// The clock stands at noon, so that where the nights lie does not depend on when the test runs.
	w.jump(time.Until(today.Start().Add(12 * time.Hour)))
	for back := range 3 {
		d := today.Add(-back)
		for _, hour := range []int{0, 7, 23} {
			w.take(spread(domain.HourKey{Tenant: "acme", Day: d, Hour: hour}, "r", 3, 2000))
		}
	}
	w.jump(48 * time.Hour) // two nights without anybody
	now := today.Add(2)
	all := w.start("api,scheduler,worker")
	var days, quiet []day
	for back := 1; back <= 3; back++ {
		days = append(days, day{"acme", now.Add(-back)})
		quiet = append(quiet, day{"quiet", now.Add(-back)})
	}
	w.settled(days[1:]...) // of the last night nothing was recorded
	w.passes(all)
	if n := w.number(`SELECT count(*) FROM days WHERE tenant = 'quiet'`); n > 0 {
		t.Errorf("%d days without a recording were planned by a clock that may be wrong", n)
	}
	w.sql(`UPDATE clock SET deletions_after = 0`) // an hour later
	days = append(days, quiet...)
	w.settled(days...)
	w.check(days...)
	_, answer := w.askDay("quiet", now.Add(-1))
	for _, l := range answer.Links {
		if l.Status != "no_data" {
			t.Errorf("hour %s of a quiet day is %s", l.Hour, l.Status)
		}
	}
	if answer.GeneratedAt == nil {
		t.Error("a quiet day that is planned has no generatedAt")
	}
	// Today is not planned before its night, and the planner has run.
	if n := w.number(`SELECT count(*) FROM days WHERE day >= $1 AND planned_us IS NOT NULL`, now); n > 0 {
		t.Errorf("%d days were planned that are not over", n)
	}
	if status, _ := w.askDay("acme", today.Add(-2)); status != 404 {
		t.Errorf("a day past retention answers %d", status)
	}
	// The next night comes while everything runs.
	w.take(spread(domain.HourKey{Tenant: "acme", Day: now, Hour: 5}, "r", 2, 2000))
	w.jump(24 * time.Hour)
	w.settled(day{"acme", now})
	w.check(day{"acme", now})
}
