package metrics

import (
	"context"
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"
)

// Checks registers the metric of the parts that this process can use. check runs at each scrape.
func (m *Metrics) Checks(check func(ctx context.Context) map[string]bool) {
	m.registry.MustRegister(newCollector(func() (map[string]bool, error) {
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		defer cancel()
		return check(ctx), nil
	}, []metric[map[string]bool]{
		{"up", "Whether this process can use the part, as /readyz says.", prometheus.GaugeValue, []string{"part"},
			func(parts map[string]bool, set setter) {
				for part, usable := range parts {
					value := 0.0
					if usable {
						value = 1
					}
					set(value, part)
				}
			}},
	}))
}

// Connections registers the metrics of the catalog's connection pools.
func (m *Metrics) Connections(stats func() map[string]sql.DBStats) {
	type pools = map[string]sql.DBStats
	byPool := func(value func(s sql.DBStats) float64) func(pools, setter) {
		return func(p pools, set setter) {
			for pool, s := range p {
				set(value(s), pool)
			}
		}
	}
	m.registry.MustRegister(newCollector(func() (pools, error) { return stats(), nil }, []metric[pools]{
		{"catalog_connections", "Connections to the catalog's database: idle or in_use.", prometheus.GaugeValue, []string{"pool", "state"},
			func(p pools, set setter) {
				for pool, s := range p {
					set(float64(s.Idle), pool, "idle")
					set(float64(s.InUse), pool, "in_use")
				}
			}},
		{"catalog_connections_max", "How many there may be; 0 without a limit.", prometheus.GaugeValue, []string{"pool"},
			byPool(func(s sql.DBStats) float64 { return float64(s.MaxOpenConnections) })},
		{"catalog_connection_waits_total", "How often a connection had to be waited for.", prometheus.CounterValue, []string{"pool"},
			byPool(func(s sql.DBStats) float64 { return float64(s.WaitCount) })},
		{"catalog_connection_wait_seconds_total", "How long, in all.", prometheus.CounterValue, []string{"pool"},
			byPool(func(s sql.DBStats) float64 { return s.WaitDuration.Seconds() })},
	}))
}
