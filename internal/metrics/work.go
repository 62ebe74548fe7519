package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
)

// Build is how the build of an hour ended.
type Build struct {
	Kind    domain.Kind // "" when the archive is served; else why not
	Took    time.Duration
	Size    int64 // bytes of the ZIP
	Files   int
	Missing int // files that it should have had
}

type builds struct {
	duration *prometheus.HistogramVec
	size     prometheus.Histogram
	bytes    prometheus.Counter
	files    prometheus.Counter
	missing  prometheus.Counter
	sources  *prometheus.CounterVec
	webhooks *prometheus.CounterVec
	refused  prometheus.Counter
}

func newBuilds() builds {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	b := builds{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "build_duration_seconds",
			Help:    "Time from the claim of an hour to the end of its build, by outcome: archived, or why not.",
			Buckets: []float64{0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}}, []string{"outcome"}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "archive_size_bytes",
			Help: "Sizes of the archives built.", Buckets: prometheus.ExponentialBuckets(1<<20, 4, 9)}), // 1 MiB to 64 GiB
		bytes:   counter("archived_bytes_total", "Bytes of the archives built."),
		files:   counter("archived_files_total", "Recordings in the archives built."),
		missing: counter("archived_missing_files_total", "Recordings that the archives built should have had."),
		refused: counter("refused_deletions_total", "Tries to delete an archive that the object store refused."),
		sources: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "source_errors_total",
			Help: "Requests for recordings that failed, by kind: not_found, conflict (it has changed), unavailable, …"}, []string{"kind"}),
	}
	b.webhooks = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "webhook_attempts_total",
		Help: "Tries to deliver webhooks, by what followed: delivered, again, failed (the last try) or gone (the receiver wants no more)."}, []string{"outcome"})
	for _, outcome := range []string{WebhookDelivered, WebhookAgain, WebhookFailed, WebhookGone} {
		b.webhooks.WithLabelValues(outcome)
	}
	b.duration.WithLabelValues("archived")
	for _, kind := range []domain.Kind{domain.KindNotFound, domain.KindConflict, domain.KindUnavailable, domain.KindStoreFault, domain.KindRefused, domain.KindUnreadable} {
		b.sources.WithLabelValues(string(kind))
	}
	return b
}

// Builds begins to tell of builds. Call it once, where hours are built.
func (m *Metrics) Builds() {
	b := &m.builds
	m.registry.MustRegister(b.duration, b.size, b.bytes, b.files, b.missing, b.sources, b.webhooks, b.refused)
}

// What followed from a try to deliver a webhook.
const (
	WebhookDelivered = "delivered"
	WebhookAgain     = "again"
	WebhookFailed    = "failed"
	WebhookGone      = "gone"
)

// Webhook counts a try to deliver.
func (b *builds) Webhook(outcome string) { b.webhooks.WithLabelValues(outcome).Inc() }

// DeletionRefused counts an archive that the store did not delete.
func (b *builds) DeletionRefused() { b.refused.Inc() }

// Built counts a build.
func (b *builds) Built(e Build) {
	if e.Kind != "" {
		b.duration.WithLabelValues(string(e.Kind)).Observe(e.Took.Seconds())
		return
	}
	b.duration.WithLabelValues("archived").Observe(e.Took.Seconds())
	if e.Files > 0 { // an hour of which nothing is left has no archive
		b.size.Observe(float64(e.Size))
	}
	b.bytes.Add(float64(e.Size))
	b.files.Add(float64(e.Files))
	b.missing.Add(float64(e.Missing))
}

// passes is what the scheduler does.
type passes struct {
	ended        *prometheus.CounterVec
	last         prometheus.Gauge
	next         prometheus.Gauge
	planned      prometheus.Counter
	expired      prometheus.Counter
	dispatched   prometheus.Counter
	redispatched prometheus.Counter
	released     prometheus.Counter
	healed       prometheus.Counter
}

func newPasses() passes {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: "scheduler", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: "scheduler", Name: name, Help: help})
	}
	p := passes{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: "scheduler", Name: "passes_total",
			Help: "Planning passes, by outcome: ok or failed."}, []string{"outcome"}),
		last:         gauge("last_pass_timestamp_seconds", "When a planning pass last succeeded; 0 before the first."),
		next:         gauge("next_plan_timestamp_seconds", "When the schedule plans the next day, by the catalog's clock; 0 if never."),
		planned:      counter("planned_nights_total", "Days that were planned."),
		expired:      counter("expired_nights_total", "Days whose retention was ended."),
		dispatched:   counter("dispatched_archives_total", "Hours that were handed to the workers."),
		redispatched: counter("redispatched_archives_total", "Of these, hours whose task was gone."),
		released:     counter("released_archives_total", "Hours that were taken from builders that vanished."),
		healed:       counter("healed_archives_total", "Hours that should have been due and were not."),
	}
	p.ended.WithLabelValues("ok")
	p.ended.WithLabelValues("failed")
	return p
}

// Passes begins to tell of planning passes. Call it once, where they run.
func (m *Metrics) Passes() {
	p := &m.passes
	m.registry.MustRegister(p.ended, p.last, p.next, p.planned, p.expired, p.dispatched, p.redispatched, p.released, p.healed)
}

// Pass counts a planning pass.
func (m *Metrics) Pass(r plan.Report, err error) {
	p := &m.passes
	if err != nil {
		p.ended.WithLabelValues("failed").Inc()
	} else {
		p.ended.WithLabelValues("ok").Inc()
		p.last.Set(float64(m.now().Unix()))
	}
	if !r.NextFiring.IsZero() { // short passes do not look
		p.next.Set(float64(r.NextFiring.Unix()))
	}
	p.planned.Add(float64(r.Planned))
	p.expired.Add(float64(r.Expired))
	p.dispatched.Add(float64(r.Dispatched))
	p.redispatched.Add(float64(r.Redispatched))
	p.released.Add(float64(r.Released))
	p.healed.Add(float64(r.Repaired))
}
