package metrics_test

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/metrics"
)

// BenchmarkRequest measures the counting of a request and of one catalog operation.
func BenchmarkRequest(b *testing.B) {
	m := metrics.New("v1", time.Now, zap.NewNop())
	r := metrics.Request{Family: "recordings", Route: "/api/external/conversations/daily-audio-recordings/{utcDay}", Method: "GET", Status: 200, Bytes: 9000, Took: time.Millisecond}
	o := db.Observed{Operation: "query", Outcome: "ok", Took: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Request(r)
		m.Catalog(o)
	}
}
