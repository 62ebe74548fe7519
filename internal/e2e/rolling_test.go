package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// replicas is two processes of each role behind a balancer.
type replicas struct {
	f       *fixture
	balance *balancer
	roles   [6]*process
	address [6]string
	env     map[string]string
}

func (f *fixture) replicas(env map[string]string) *replicas {
	f.t.Helper()
	r := &replicas{f: f, env: env}
	for i := range r.roles {
		r.launch(i, f.bin)
	}
	r.balance = f.balance(r.address[0], r.address[1])
	return r
}

func role(i int) string { return []string{"api", "worker", "scheduler"}[i/2] }

func (r *replicas) launch(i int, bin string) {
	r.f.t.Helper()
	r.roles[i] = r.f.launch(bin, r.env, "run", role(i))
	r.address[i] = r.roles[i].serving()
}

// roll replaces the processes one by one. Each new one must be ready before the next is replaced.
func (r *replicas) roll(bin string, load *load) {
	r.f.t.Helper()
	for i := range r.roles {
		if role(i) == "worker" {
			eventually(r.f.t, "an hour is being built", r.f.someBuilt)
		}
		r.roles[i].term()
		r.launch(i, bin)
		if role(i) == "api" {
			r.balance.add(r.address[i])
		} else {
			eventually(r.f.t, role(i)+" is ready", func(ctx context.Context) string {
				if !readyAt(ctx, r.address[i]) {
					return "it is not"
				}
				return ""
			})
		}
		load.moved()
	}
}

// endLoad ends the load and checks its answers and what was built.
func (r *replicas) endLoad(load *load, days ...day) {
	f, t := r.f, r.f.t
	t.Helper()
	asked, wrong := load.end()
	t.Logf("answered: %v; %d recordings were added", asked, load.added.Load())
	for _, problem := range append(wrong, r.balance.problems()...) {
		t.Error(problem)
	}
	f.waitBuilt(days...)
	if n := f.number(`SELECT coalesce(sum(lapses + failures), 0) FROM hours`); n > 0 {
		t.Errorf("restarts count as %d failures or lapses of builds", n)
	}
	if n := f.number(`SELECT count(*) FROM (SELECT 1 FROM archives WHERE published_us IS NOT NULL GROUP BY tenant, day, hour, revision HAVING count(*) > 1) x`); n > 0 {
		t.Errorf("%d revisions were published twice", n)
	}
	t.Logf("%d revisions were published", f.number(`SELECT count(*) FROM archives WHERE published_us IS NOT NULL`))
	f.check(days...)
	f.clean()
}

// TestRollingRestart restarts two processes of every role one by one, under load: no client sees an
// error or a broken connection, and no build is lost.
func TestRollingRestart(t *testing.T) {
	f := newFixture(t)
	days := f.smallNight()
	r := f.replicas(f.slowServing())
	f.waitBuilt(days...)
	f.step("built")
	load := f.load(days[0])
	load.moved()
	r.roll(f.bin, load)
	f.step("restarted")
	r.endLoad(load, days...)
	f.step("checked")
	for _, p := range r.roles {
		p.term()
		if strings.Contains(p.log.String(), "cut off") {
			t.Errorf("%s cut requests off", p.name)
		}
	}
}

// smallNight registers some hours of two tenants.
func (f *fixture) smallNight() []day {
	f.t.Helper()
	f.tenant("acme", "beta")
	yesterday := f.yesterday()
	var list []recording
	for hour := range 6 {
		list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "r", 4, 60_000)...)
		list = append(list, spread(domain.HourKey{Tenant: "beta", Day: yesterday, Hour: hour}, "r", 2, 20_000)...)
	}
	f.take(list)
	return []day{{"acme", yesterday}, {"beta", yesterday}}
}

// slowServing returns settings of processes that proxy downloads from a slow store, so that a stop
// comes while requests and builds run.
func (f *fixture) slowServing() map[string]string {
	f.t.Helper()
	env := f.slowStore(3 * time.Millisecond)
	env["CALLVAULT_DOWNLOAD_MODE"], env["CALLVAULT_STOP_DELAY"], env["CALLVAULT_LEASE"] = "proxy", "600ms", fmt.Sprint(10*time.Minute)
	return env
}
