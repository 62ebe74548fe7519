package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

const namespace = "callvault"

// maxScrapes bounds the scrapes at once. More than one or two are a mistake.
const maxScrapes = 4

// Metrics is a process's metrics. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	log      *zap.Logger
	now      func() time.Time

	requests
	builds
	passes
	parts
}

// New makes the metrics of a process of this version. now is the process's clock.
func New(version string, now func() time.Time, log *zap.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), log: log.Named("metrics"), now: now,
		requests: newRequests(), builds: newBuilds(), passes: newPasses(), parts: newParts(),
	}
	info := gauges("build_info", "1, with the version of the program as a label.", "version")
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests.duration, m.requests.bytes, m.requests.limited, m.parts.store, m.parts.catalog)
	return m
}

// Gatherer returns the registry.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Handler answers scrapes. Metrics that can't be read are left out.
func (m *Metrics) Handler() http.HandlerFunc {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: errorLog{m.log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, Registry: m.registry,
	}).ServeHTTP
}

// errorLog logs metrics that promhttp could not gather.
type errorLog struct{ log *zap.Logger }

func (l errorLog) Println(v ...any) { l.log.Warn("numbers are left out", zap.Any("because", v)) }

// latencies are buckets for answers that should be quick, in seconds.
func latencies() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600}
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}
