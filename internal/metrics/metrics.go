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

// maxScrapes bounds how many ask at once: more than one or two are a mistake.
const maxScrapes = 4

// Metrics is a process's numbers. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	log      *zap.Logger
	now      func() time.Time

	requests
	builds
	passes
	parts
}

// New makes the numbers of a process of this version. now is the process's clock.
func New(version string, now func() time.Time, log *zap.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), log: log.Named("metrics"), now: now,
		requests: newRequests(), builds: newBuilds(), passes: newPasses(), parts: newParts(),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info",
		Help: "1, with the version of the program as a label."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, list := range [][]prometheus.Collector{m.requests.all(), m.parts.all()} {
		m.registry.MustRegister(list...)
	}
	return m
}

// Gatherer gives the numbers themselves.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Handler answers with the numbers. What can't be gathered is left out.
func (m *Metrics) Handler() http.HandlerFunc {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: printer{m.log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, Registry: m.registry,
	}).ServeHTTP
}

// printer is how promhttp tells what it could not gather.
type printer struct{ log *zap.Logger }

// Println implements promhttp.Logger.
func (p printer) Println(v ...any) { p.log.Warn("numbers are left out", zap.Any("because", v)) }

// latencies are the bounds of answers that should be quick, in seconds.
func latencies() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600}
}
