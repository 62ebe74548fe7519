package plan_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

// One tenant has 600 hours due before fifty small ones have any. Counted in builds that were
// started, the last hour of a small tenant waits for the small tenants' other hours and for the
// dispatches that the large tenant may have outstanding, and for nothing else.
func TestFairness(t *testing.T) {
	const slots, large, small = 4, 600, 50
	f := newPostgresFixture(t)
	f.tenant("huge", 40)
	for n := range 25 {
		hours := make([]int, 24)
		for hour := range hours {
			hours[hour] = hour
		}
		f.add("huge", day.Add(-n), hours...)
	}
	for n := range small {
		id := fmt.Sprintf("small-%02d", n)
		f.tenant(id, 1)
		f.add(id, day, n%24)
	}
	q, err := queue.Connect(testenv.Redis(t))
	f.must(err)
	t.Cleanup(func() { f.must(q.Close()) })
	p := plan.New(plan.Config{Schedule: schedule(t, "0 2 * * *")}, f.catalog, q, time.Now, zap.NewNop())

	var mu sync.Mutex
	var started []string
	built := make(chan error, large+small)
	server := q.NewServer(queue.ServerConfig{Slots: slots, Poll: 5 * time.Millisecond}, queue.Handlers{
		Hour: func(ctx context.Context, task queue.Task) error {
			mu.Lock()
			started = append(started, task.Key.Tenant) // before the claim, which may take longer than other builds
			mu.Unlock()
			claim, ok, err := f.catalog.Claim(ctx, task.Key, "stub")
			if err != nil || !ok {
				return err
			}
			in, err := f.catalog.BuildInput(ctx, claim)
			if err == nil {
				err = f.catalog.CommitEmpty(ctx, claim, in.Wanted)
			}
			built <- err
			return err
		},
		Sweep: func(context.Context) error { return nil },
	}, zap.NewNop())
	f.must(server.Start())
	t.Cleanup(func() { f.must(server.Stop()) })
	for slots, err := q.Slots(t.Context()); slots == 0; slots, err = q.Slots(t.Context()) {
		f.must(err)
		time.Sleep(5 * time.Millisecond) // until the worker has registered in Redis
	}
	f.fullPass(p)
	for range large + small {
		f.must(<-built)
		_, err = p.DispatchPass(t.Context())
		f.must(err)
	}

	mu.Lock()
	defer mu.Unlock()
	last := 0
	count := map[string]int{}
	for i, tenant := range started {
		if count[tenant]++; tenant != "huge" {
			last = i + 1
		}
	}
	if count["huge"] != large || len(count) != small+1 {
		t.Fatalf("%d hours of the large tenant and %d tenants were built", count["huge"], len(count))
	}
	t.Logf("the last of %d small hours was started as number %d of %d", small, last, len(started))
	// The small hours, the large tenant's outstanding dispatches, and what was built at the same
	// time.
	if bound := small + 2*slots + slots; last > bound {
		t.Errorf("the last small hour was started as number %d, want at most %d", last, bound)
	}
	if f.view("huge", day).Settled.IsZero() {
		t.Error("the large tenant's day is not complete")
	}
}
