package metrics

import (
	"context"
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"
)

// Checks tells, whenever somebody asks, which parts can be used by this process.
func (m *Metrics) Checks(ask func(ctx context.Context) map[string]bool) {
	m.registry.MustRegister(checks{ask: ask, up: prometheus.NewDesc(namespace+"_up",
		"Whether this process can use the part, as /readyz says.", []string{"part"}, nil)})
}

type checks struct {
	ask func(ctx context.Context) map[string]bool
	up  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c checks) Describe(to chan<- *prometheus.Desc) { to <- c.up }

// Collect implements prometheus.Collector.
func (c checks) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	for part, ok := range c.ask(ctx) {
		v := 0.0
		if ok {
			v = 1
		}
		to <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, v, part)
	}
}

// Connections tells of the catalog's connections.
func (m *Metrics) Connections(stats func() map[string]sql.DBStats) {
	d := descs{}
	d.add("catalog_connections", "Connections to the catalog's database: idle or in_use.", "pool", "state")
	d.add("catalog_connections_max", "How many there may be; 0 without a limit.", "pool")
	d.add("catalog_connection_waits_total", "How often a connection had to be waited for.", "pool")
	d.add("catalog_connection_wait_seconds_total", "How long, in all.", "pool")
	m.registry.MustRegister(connections{d, stats})
}

type connections struct {
	descs descs
	stats func() map[string]sql.DBStats
}

// Describe implements prometheus.Collector.
func (c connections) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c connections) Collect(to chan<- prometheus.Metric) {
	tell := func(name string, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(c.descs[name], kind, v, labels...)
	}
	for pool, s := range c.stats() {
		tell("catalog_connections", prometheus.GaugeValue, float64(s.Idle), pool, "idle")
		tell("catalog_connections", prometheus.GaugeValue, float64(s.InUse), pool, "in_use")
		tell("catalog_connections_max", prometheus.GaugeValue, float64(s.MaxOpenConnections), pool)
		tell("catalog_connection_waits_total", prometheus.CounterValue, float64(s.WaitCount), pool)
		tell("catalog_connection_wait_seconds_total", prometheus.CounterValue, s.WaitDuration.Seconds(), pool)
	}
}
