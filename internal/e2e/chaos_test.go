package e2e_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// night registers a full night's work for two tenants: many small hours and some that need several
// parts of an upload.
func (w *world) night() []day {
	w.t.Helper()
	w.tenant("acme", "beta")
	yesterday := w.yesterday()
	var list []recording
	for hour := range 24 {
		n, size := 20, 10_000
		if hour%4 == 1 {
			n, size = 9, 2<<20
		}
		list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "r", n, size)...)
		list = append(list, spread(domain.HourKey{Tenant: "beta", Day: yesterday, Hour: hour}, "r", 5, 20_000)...)
	}
	w.take(list)
	return []day{{"acme", yesterday}, {"beta", yesterday}}
}

// slowStore gives the settings of a process for which every piece that the object store answers takes
// d, so that what the test does to it happens in the middle of builds.
func (w *world) slowStore(d time.Duration) map[string]string {
	w.t.Helper()
	proxy := testenv.NewProxy(w.t, w.env["CALLVAULT_S3_ENDPOINT"])
	proxy.Delay(d)
	return map[string]string{"CALLVAULT_S3_ENDPOINT": proxy.URL()}
}

// building says how many hours somebody builds.
func (w *world) building() int64 {
	return w.number(`SELECT count(*) FROM hours WHERE token IS NOT NULL`)
}

// someBuilt is for eventually: somebody builds.
func (w *world) someBuilt(context.Context) string {
	if w.building() == 0 {
		return "nobody builds"
	}
	return ""
}

// again makes every hour due once more when nothing is left to do. It says whether it had to.
func (w *world) again(days []day) bool {
	w.t.Helper()
	for _, d := range days {
		v, err := w.cat.Day(w.t.Context(), d.tenant, d.day)
		w.must(err)
		if waiting, _ := v.Unsettled(-1); waiting > 0 {
			return false
		}
	}
	for _, d := range days {
		_, err := w.cat.Rebuild(w.t.Context(), d.tenant, d.day, -1, true)
		w.must(err)
	}
	return true
}

// TestKilledWorkers kills one of two workers twenty times while they work through a night.
func TestKilledWorkers(t *testing.T) {
	const kills = 20
	w := newWorld(t)
	days := w.night()
	slow := w.slowStore(4 * time.Millisecond)
	w.start("api,scheduler")
	workers := []*process{w.startWith(slow, "worker"), w.startWith(slow, "worker")}
	w.step("started")
	hit := 0
	for n := range kills {
		// Somewhere within a build: what is slept here is the randomness, not a wait for anything.
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
		if w.building() > 0 {
			hit++
		}
		victim := workers[n%2]
		victim.kill()
		workers[n%2] = w.startWith(slow, "worker")
		if w.again(days) {
			t.Logf("all hours were built after %d kills; once more", n+1)
		}
	}
	t.Logf("%d of %d kills came while hours were built", hit, kills)
	if hit < kills/2 {
		t.Errorf("only %d of %d kills came while hours were built", hit, kills)
	}
	w.step("killed")
	w.settled(days...)
	w.step("built")
	w.check(days...)
	w.step("checked")
	w.clean()
	w.step("clean")
}

// outage is how long a part is away.
func outage() time.Duration {
	if long() {
		return 30 * time.Second
	}
	return 10 * time.Second
}

// TestLostParts takes each part away while a night is built: Redis emptied, then Redis, the object
// store and the catalog stopped for a while.
func TestLostParts(t *testing.T) {
	w := newPrivateWorld(t)
	days := w.night()
	slow := w.slowStore(4 * time.Millisecond)
	roles := []*process{w.start("api"), w.start("scheduler"), w.startWith(slow, "worker"), w.startWith(slow, "worker")}
	for _, part := range []struct {
		name string
		harm func()
	}{
		{"Redis emptied", w.redis.Flush},
		{"Redis stopped", func() { w.redis.Stop(); time.Sleep(outage()); w.redis.Start() }},
		{"object store stopped", func() { w.minio.Stop(); time.Sleep(outage()); w.minio.Start() }},
		{"catalog restarted", func() { w.postgres.Stop(); time.Sleep(outage() / 5); w.postgres.Start() }},
	} {
		w.again(days)
		eventually(t, "an hour is being built", w.someBuilt)
		started := time.Now()
		part.harm()
		t.Logf("%s: %s", part.name, time.Since(started).Round(time.Second))
	}
	w.settled(days...)
	t.Log("all hours are built")
	w.check(days...)
	w.clean()
	for _, p := range roles {
		p.term()
	}
}
