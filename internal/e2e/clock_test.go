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

// shiftClock moves the catalog's clock.
func (f *fixture) shiftClock(d time.Duration) {
	f.t.Helper()
	f.sql(`UPDATE clock SET offset_us = offset_us + $1`, d.Microseconds())
}

// paused says whether a scheduler noticed the clock's step.
func (f *fixture) paused() {
	f.t.Helper()
	eventually(f.t, "deletions pause", func(context.Context) string {
		if f.number(`SELECT count(*) FROM clock WHERE paused_until_us > (SELECT now_us FROM catalog_clock)`) == 0 {
			return "they do not"
		}
		return ""
	})
}

// passes waits until each scheduler made several more full passes.
func (f *fixture) passes(schedulers ...*process) {
	f.t.Helper()
	before := map[*process]int{}
	for _, p := range schedulers {
		before[p] = f.passed(p)
	}
	eventually(f.t, "all schedulers have looked again", func(context.Context) string {
		for p, passed := range before {
			if n := f.passed(p) - passed; n < 4 {
				return fmt.Sprint(p.name, " has ", n, " times")
			}
		}
		return ""
	})
}

// passed is the number of a scheduler's full passes.
func (f *fixture) passed(scheduler *process) int {
	f.t.Helper()
	_, page := f.request(http.MethodGet, "http://"+scheduler.serving()+"/metrics", map[string]string{"Authorization": "Bearer " + adminToken}, nil)
	found := passedPattern.FindSubmatch(page)
	if found == nil {
		f.t.Fatalf("%s does not tell its passes: %s", scheduler.name, page)
	}
	n, err := strconv.Atoi(string(found[1]))
	f.must(err)
	return n
}

var passedPattern = regexp.MustCompile(`callvault_scheduler_passes_total\{outcome="ok"\} (\d+)`)

// TestClockJumps lets the catalog's clock jump a day ahead in the middle of a night, and back.
func TestClockJumps(t *testing.T) {
	f := newFixture(t)
	f.tenant("short")
	f.ok("tenant", "set", "short", "--retention-days", "1")
	before := f.yesterday()
	f.take(spread(domain.HourKey{Tenant: "short", Day: before, Hour: 3}, "r", 3, 1000))
	days := f.night()
	api, roles := f.start("api"), []*process{f.start("scheduler"), f.start("scheduler")}
	worker := f.start("worker")
	f.waitBuilt(append(days, day{"short", before})...)
	f.step("first night")
	worker.term()
	// Archives that a later clock would delete: of a day past its end, and superseded ones.
	f.rebuildAll(days)
	slow := f.slowStore(4 * time.Millisecond)
	roles = append(roles, f.startWith(slow, "worker"), f.startWith(slow, "worker"))
	eventually(t, "an archive is superseded while others are built", func(ctx context.Context) string {
		if f.number(`SELECT count(*) FROM archives WHERE state = 'superseded'`) == 0 {
			return "none is"
		}
		return f.someBuilt(ctx)
	})
	f.step("rebuilding")
	f.shiftClock(25 * time.Hour)
	f.paused()
	f.step("paused")
	f.waitBuilt(days...)
	f.step("second night")
	f.check(days...)
	f.step("checked")
	f.passes(roles[:2]...)
	if n := f.number(`SELECT count(*) FROM archives WHERE state = 'doomed' AND published_us IS NOT NULL`); n > 0 {
		t.Errorf("%d archives were doomed by a clock that jumped", n)
	}
	if n := f.number(`SELECT count(*) FROM days WHERE expired_us IS NOT NULL`); n > 0 {
		t.Errorf("%d days were ended by a clock that jumped", n)
	}
	f.shiftClock(-25 * time.Hour)
	f.passes(roles[:2]...)
	f.check(append(days, day{"short", before})...)
	if n := f.number(`SELECT count(*) FROM hours WHERE token IS NOT NULL`); n > 0 {
		t.Errorf("%d hours are still claimed", n)
	}
	for _, p := range append(roles, api) {
		p.term()
	}
}

// TestMissedNights starts the roles after several nights without any.
func TestMissedNights(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", "quiet")
	f.env["CALLVAULT_SCHEDULE"], f.env["CALLVAULT_ADMIN_TOKEN"] = "30 2 * * *", adminToken // for /metrics
	today := f.yesterday().Add(1)
	// The clock starts at noon, so that the nights do not depend on when the test runs.
	f.shiftClock(time.Until(today.Start().Add(12 * time.Hour)))
	for back := range 3 {
		d := today.Add(-back)
		for _, hour := range []int{0, 7, 23} {
			f.take(spread(domain.HourKey{Tenant: "acme", Day: d, Hour: hour}, "r", 3, 2000))
		}
	}
	f.shiftClock(48 * time.Hour) // two nights without a role
	now := today.Add(2)
	all := f.start("api,scheduler,worker")
	var days, quiet []day
	for back := 1; back <= 3; back++ {
		days = append(days, day{"acme", now.Add(-back)})
		quiet = append(quiet, day{"quiet", now.Add(-back)})
	}
	f.waitBuilt(days[1:]...) // the last night has no recordings
	f.passes(all)
	if n := f.number(`SELECT count(*) FROM days WHERE tenant = 'quiet'`); n > 0 {
		t.Errorf("%d days without a recording were planned by a clock that may be wrong", n)
	}
	f.sql(`UPDATE clock SET paused_until_us = 0`) // an hour later
	days = append(days, quiet...)
	f.waitBuilt(days...)
	f.check(days...)
	_, answer := f.askDay("quiet", now.Add(-1))
	for _, l := range answer.Links {
		if l.Status != "no_data" {
			t.Errorf("hour %s of a quiet day is %s", l.Hour, l.Status)
		}
	}
	if answer.GeneratedAt == nil {
		t.Error("a quiet day that is planned has no generatedAt")
	}
	// The planner has run, and did not plan today before its night.
	if n := f.number(`SELECT count(*) FROM days WHERE day >= $1 AND planned_us IS NOT NULL`, now); n > 0 {
		t.Errorf("%d days were planned that are not over", n)
	}
	if status, _ := f.askDay("acme", today.Add(-2)); status != 404 {
		t.Errorf("a day past retention answers %d", status)
	}
	// The next night comes while the roles run.
	f.take(spread(domain.HourKey{Tenant: "acme", Day: now, Hour: 5}, "r", 2, 2000))
	f.shiftClock(24 * time.Hour)
	f.waitBuilt(day{"acme", now})
	f.check(day{"acme", now})
}
