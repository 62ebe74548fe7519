package e2e_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// night registers a full night for two tenants: many small hours, and some that need an upload in
// parts.
func (f *fixture) night() []day {
	f.t.Helper()
	f.tenant("acme", "beta")
	yesterday := f.yesterday()
	var list []recording
	for hour := range 24 {
		n, size := 20, 10_000
		if hour%4 == 1 {
			n, size = 9, 2<<20
		}
		list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "r", n, size)...)
		list = append(list, spread(domain.HourKey{Tenant: "beta", Day: yesterday, Hour: hour}, "r", 5, 20_000)...)
	}
	f.take(list)
	return []day{{"acme", yesterday}, {"beta", yesterday}}
}

// slowStore returns settings of a process for which the object store delays every piece of an
// answer by d, so that faults come in the middle of builds.
func (f *fixture) slowStore(d time.Duration) map[string]string {
	f.t.Helper()
	proxy := testenv.NewProxy(f.t, f.env["CALLVAULT_S3_ENDPOINT"])
	proxy.Delay(d)
	return map[string]string{"CALLVAULT_S3_ENDPOINT": proxy.URL()}
}

// building returns how many hours are being built.
func (f *fixture) building() int64 {
	return f.number(`SELECT count(*) FROM hours WHERE token IS NOT NULL`)
}

// someBuilt waits, with eventually, until an hour is being built.
func (f *fixture) someBuilt(context.Context) string {
	if f.building() == 0 {
		return "nobody builds"
	}
	return ""
}

// rebuildAll makes every hour due again when no work is left. It says whether it did.
func (f *fixture) rebuildAll(days []day) bool {
	f.t.Helper()
	for _, d := range days {
		v, err := f.cat.Day(f.t.Context(), d.tenant, d.day)
		f.must(err)
		if waiting, _ := v.Unfinished(-1); waiting > 0 {
			return false
		}
	}
	for _, d := range days {
		_, err := f.cat.Rebuild(f.t.Context(), catalog.RebuildRequest{Tenant: d.tenant, Day: d.day, Hour: -1, Force: true})
		f.must(err)
	}
	return true
}

// TestKilledWorkers kills one of two workers twenty times while they work through a night.
func TestKilledWorkers(t *testing.T) {
	const kills = 20
	f := newFixture(t)
	days := f.night()
	slow := f.slowStore(4 * time.Millisecond)
	f.start("api,scheduler")
	workers := []*process{f.startWith(slow, "worker"), f.startWith(slow, "worker")}
	f.step("started")
	hit := 0
	for n := range kills {
		// A random moment within a build.
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
		if f.building() > 0 {
			hit++
		}
		victim := workers[n%2]
		victim.kill()
		workers[n%2] = f.startWith(slow, "worker")
		if f.rebuildAll(days) {
			t.Logf("all hours were built after %d kills; once more", n+1)
		}
	}
	t.Logf("%d of %d kills came while hours were built", hit, kills)
	if hit < kills/2 {
		t.Errorf("only %d of %d kills came while hours were built", hit, kills)
	}
	f.step("killed")
	f.waitBuilt(days...)
	f.step("built")
	f.check(days...)
	f.step("checked")
	f.clean()
	f.step("clean")
}

// outage is how long a part is stopped.
func outage() time.Duration {
	if long() {
		return 30 * time.Second
	}
	return 10 * time.Second
}

// TestLostParts stops each part for a while during a night's builds, and empties Redis.
func TestLostParts(t *testing.T) {
	f := newPrivateFixture(t)
	days := f.night()
	slow := f.slowStore(4 * time.Millisecond)
	roles := []*process{f.start("api"), f.start("scheduler"), f.startWith(slow, "worker"), f.startWith(slow, "worker")}
	for _, part := range []struct {
		name string
		harm func()
	}{
		{"Redis emptied", f.redis.Flush},
		{"Redis stopped", func() { f.redis.Stop(); time.Sleep(outage()); f.redis.Start() }},
		{"object store stopped", func() { f.minio.Stop(); time.Sleep(outage()); f.minio.Start() }},
		{"catalog restarted", func() { f.postgres.Stop(); time.Sleep(outage() / 5); f.postgres.Start() }},
	} {
		f.rebuildAll(days)
		eventually(t, "an hour is being built", f.someBuilt)
		started := time.Now()
		part.harm()
		t.Logf("%s: %s", part.name, time.Since(started).Round(time.Second))
	}
	f.waitBuilt(days...)
	t.Log("all hours are built")
	f.check(days...)
	f.clean()
	for _, p := range roles {
		p.term()
	}
}
