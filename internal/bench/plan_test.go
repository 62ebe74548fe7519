package bench_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

// databases are both kinds of catalog, empty.
func databases(b *testing.B, run func(b *testing.B, c *catalog.Catalog)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) {
		run(b, catalogtest.Open(b, "sqlite://"+filepath.Join(b.TempDir(), "catalog.db")))
	})
	b.Run("postgres", func(b *testing.B) { run(b, catalogtest.Open(b, catalogtest.Postgres(b))) })
}

// manySlots is a real queue that reports enough worker slots to dispatch all hours.
type manySlots struct {
	*queue.Queue
	slots int
}

// Slots returns the configured number, because there are no workers.
func (q manySlots) Slots(context.Context) (int, error) { return q.slots, nil }

// BenchmarkPlan plans a night of 50 tenants, 24 hours each, and dispatches the hours to a real
// Redis.
func BenchmarkPlan(b *testing.B) {
	const tenants = 50
	databases(b, func(b *testing.B, c *catalog.Catalog) {
		q := connect(b)
		p := plan.New(plan.Config{MaxHours: 1 << 20}, c, manySlots{q, 1 << 20}, time.Now, zap.NewNop())
		for n := range tenants {
			addTenant(b, c, tenantID(n))
		}
		var planning, feeding time.Duration
		hours := 0
		for day := yesterday(); b.Loop(); day = day.Add(-1) {
			b.StopTimer()
			for n := range tenants {
				registerDay(b, c, tenantID(n), day)
			}
			b.StartTimer()
			started := time.Now()
			for n := range tenants {
				if _, err := c.PlanDay(b.Context(), tenantID(n), day); err != nil {
					b.Fatal(err)
				}
			}
			planning += time.Since(started)
			started = time.Now()
			r, err := p.DispatchPass(b.Context())
			if err != nil || r.Dispatched != 24*tenants {
				b.Fatal(r.Dispatched, err)
			}
			feeding += time.Since(started)
			hours += 24 * tenants
		}
		b.ReportMetric(float64(hours)/planning.Seconds(), "planned/s")
		b.ReportMetric(float64(hours)/feeding.Seconds(), "enqueued/s")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkFeedBehind is a pass of a planner whose workers are all busy while
// 24,000 hours wait: what it costs each second.
func BenchmarkFeedBehind(b *testing.B) {
	const tenants, days = 10, 100
	databases(b, func(b *testing.B, c *catalog.Catalog) {
		q := connect(b)
		p := plan.New(plan.Config{}, c, manySlots{q, 4}, time.Now, zap.NewNop())
		for n := range tenants {
			addTenant(b, c, tenantID(n))
			for d := range days {
				registerDay(b, c, tenantID(n), yesterday().Add(-d))
				if _, err := c.PlanDay(b.Context(), tenantID(n), yesterday().Add(-d)); err != nil {
					b.Fatal(err)
				}
			}
		}
		if _, err := p.DispatchPass(b.Context()); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if r, err := p.DispatchPass(b.Context()); err != nil || r.Dispatched != 0 {
				b.Fatal(r.Dispatched, err)
			}
		}
	})
}

func connect(t testing.TB) *queue.Queue {
	t.Helper()
	q, err := queue.Connect(testenv.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func tenantID(n int) string { return fmt.Sprintf("tenant-%03d", n) }

// registerDay registers a recording for each hour of a day.
func registerDay(b *testing.B, c *catalog.Catalog, tenant string, day domain.Day) {
	b.Helper()
	var batch catalog.Batch
	for hour := range 24 {
		size := int64(1000)
		batch.Recordings = append(batch.Recordings, catalog.Line[domain.Recording]{Number: hour + 1, Value: domain.Recording{
			ObjectKey: fmt.Sprintf("%s/%s/%02d.opus", tenant, day, hour), ConversationID: "c", SessionID: "s", MessageID: int64(hour),
			Type: "agent_tts", Timestamp: day.Start().Add(time.Duration(hour) * time.Hour), Size: &size,
		}})
	}
	if _, err := c.Register(b.Context(), tenant, batch); err != nil {
		b.Fatal(err)
	}
}
