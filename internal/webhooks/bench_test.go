package webhooks_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/internal/webhooks"
)

const (
	backlog   = 10_000 // deliveries that wait
	delivered = 1_000  // of them the benchmark waits for
)

// BenchmarkDeliver measures two replicas that work on a backlog of one tenant or of 20 in
// PostgreSQL, and plain posts of the same bytes with as many at a time. The receiver answers at
// once or after 10 ms.
func BenchmarkDeliver(b *testing.B) {
	for _, tenants := range []int{1, 20} {
		for _, takes := range []time.Duration{0, 10 * time.Millisecond} {
			b.Run(fmt.Sprintf("tenants=%d/receiver=%s", tenants, takes), func(b *testing.B) {
				for b.Loop() {
					f := newFixture(b, testenv.Postgres(b))
					f.backlog(tenants)
					took, alone := f.deliver(tenants, takes)
					b.ReportMetric(delivered/took.Seconds(), "events/s")
					b.ReportMetric(took.Seconds()/alone.Seconds(), "x-posts")
					b.ReportMetric(0, "ns/op")
				}
			})
		}
	}
}

// backlog makes tenants with one endpoint each, and spreads the waiting deliveries evenly.
func (f *fixture) backlog(tenants int) {
	f.Helper()
	raw := testenv.Raw(f, f.url)
	for i := range tenants {
		id := fmt.Sprint("t", i)
		f.tenant(id, "http://127.0.0.1:1")
		_, err := raw.ExecContext(f.Context(), `INSERT INTO webhook_events (id, tenant, type, payload, created_us)
			SELECT $2 || '-' || i, $2, 'day.completed', repeat('x', 500), (SELECT now_us FROM catalog_clock) FROM generate_series(1, $1) i`, backlog/tenants, id)
		f.must(err)
	}
	_, err := raw.ExecContext(f.Context(), `INSERT INTO webhook_deliveries (id, event, endpoint, tenant, type, day, state, next_us, created_us)
		SELECT 'd-' || v.id, v.id, e.id, v.tenant, type, '2025-01-01', 'pending', 1, v.created_us FROM webhook_events v JOIN webhook_endpoints e ON e.tenant = v.tenant`)
	f.must(err)
}

// deliver measures how long two replicas take for the first deliveries, and how long plain posts
// take.
func (f *fixture) deliver(tenants int, takes time.Duration) (took, alone time.Duration) {
	f.Helper()
	var came atomic.Int64
	enough := make(chan struct{})
	r := newReceiver(f, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(takes)
		w.WriteHeader(http.StatusNoContent)
		if came.Add(1) == delivered {
			close(enough)
		}
	})
	_, err := testenv.Raw(f, f.url).ExecContext(f.Context(), `UPDATE webhook_endpoints SET url = $1`, r.URL)
	f.must(err)
	began := time.Now()
	var stops []func()
	for range 2 {
		stops = append(stops, f.deliverer(f.catalog, func(c *webhooks.Config, _ *webhooks.SenderConfig) { c.Interval = time.Second }))
	}
	<-enough
	took = time.Since(began)
	for _, stop := range stops {
		stop()
	}
	return took, f.posts(r.URL, min(64, 2*tenants))
}

// posts measures how long plain posts of as many events take.
func (f *fixture) posts(url string, atOnce int) time.Duration {
	f.Helper()
	payload := bytes.Repeat([]byte("x"), 500)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var left atomic.Int64
	left.Store(delivered)
	var group sync.WaitGroup
	began := time.Now()
	for range atOnce {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(payload))
				if err != nil {
					f.Error(err)
					return
				}
				answer, err := client.Do(q)
				if err != nil {
					f.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
		})
	}
	group.Wait()
	return time.Since(began)
}
