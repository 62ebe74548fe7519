package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
)

// Build is how the build of an hour ended.
type Build struct {
	Kind    domain.Kind // "" when the archive was published; else why not
	Took    time.Duration
	Size    int64 // bytes of the ZIP
	Files   int
	Missing int // files that are missing in the archive
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
	changed  prometheus.Counter
	ended    prometheus.Counter
	patrol   *prometheus.CounterVec
	broken   prometheus.Counter
}

func newBuilds() builds {
	b := builds{
		duration: histograms("build_duration_seconds", "Time from the claim of an hour to the end of its build, by outcome: archived, or why not.",
			[]float64{0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}, "outcome"),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "archive_size_bytes",
			Help: "Sizes of the archives built.", Buckets: prometheus.ExponentialBuckets(1<<20, 4, 9)}), // 1 MiB to 64 GiB
		bytes:   counter("archived_bytes_total", "Bytes of the archives built."),
		files:   counter("archived_files_total", "Recordings in the archives built."),
		missing: counter("archived_missing_files_total", "Recordings that the archives built should have had."),
		refused: counter("refused_deletions_total", "Tries to delete an archive or source audio that the object store refused."),
		changed: counter("changed_deletions_total", "Keys of source audio to delete that had other bytes by then, which stay."),
		patrol:  counters("patrol_read_bytes_total", "Bytes that the patrol read, by kind: recordings or archives.", "kind"),
		broken:  counter("patrol_broken_archives_total", "Archives whose hours are built again because the patrol or the sweeper found them gone or changed."),
		ended:   counter("ended_conversations_total", "Conversations that ended by their tenant's source retention."),
		sources: counters("source_errors_total", "Requests for recordings that failed, by kind: not_found, conflict (it has changed), unavailable, …", "kind"),
		webhooks: counters("webhook_attempts_total",
			"Tries to deliver webhooks, by what followed: delivered, again, failed (the last try) or gone (the receiver wants no more).", "outcome"),
	}
	for _, outcome := range []string{WebhookDelivered, WebhookAgain, WebhookFailed, WebhookGone} {
		b.webhooks.WithLabelValues(outcome)
	}
	b.duration.WithLabelValues("archived")
	for _, kind := range []domain.Kind{domain.KindNotFound, domain.KindConflict, domain.KindUnavailable, domain.KindStoreFault, domain.KindRefused, domain.KindUnreadable} {
		b.sources.WithLabelValues(string(kind))
	}
	return b
}

// Builds registers the metrics of builds and webhooks. Call it once, in the worker's process.
func (m *Metrics) Builds() {
	b := &m.builds
	m.registry.MustRegister(b.duration, b.size, b.bytes, b.files, b.missing, b.sources, b.webhooks, b.refused, b.changed, b.ended, b.patrol, b.broken)
}

// Outcomes of a try to deliver a webhook.
const (
	WebhookDelivered = "delivered"
	WebhookAgain     = "again"
	WebhookFailed    = "failed"
	WebhookGone      = "gone"
)

// Webhook counts a try to deliver.
func (b *builds) Webhook(outcome string) { b.webhooks.WithLabelValues(outcome).Inc() }

// DeletionRefused counts an archive or source audio that the store refused to delete.
func (b *builds) DeletionRefused() { b.refused.Inc() }

// DeletionChanged counts a key of source audio that has other bytes than those that were to go.
func (b *builds) DeletionChanged() { b.changed.Inc() }

// Ended counts conversations that have ended.
func (b *builds) Ended(n int) { b.ended.Add(float64(n)) }

// Patrolled counts an object that the patrol read.
func (b *builds) Patrolled(kind string, bytes int64) {
	b.patrol.WithLabelValues(kind).Add(float64(bytes))
}

// ArchiveBroken counts an archive whose hour is built again.
func (b *builds) ArchiveBroken() { b.broken.Inc() }

// Built counts a build.
func (b *builds) Built(e Build) {
	if e.Kind != "" {
		b.duration.WithLabelValues(string(e.Kind)).Observe(e.Took.Seconds())
		return
	}
	b.duration.WithLabelValues("archived").Observe(e.Took.Seconds())
	if e.Files > 0 { // an hour without files has no archive
		b.size.Observe(float64(e.Size))
	}
	b.bytes.Add(float64(e.Size))
	b.files.Add(float64(e.Files))
	b.missing.Add(float64(e.Missing))
}

// passes counts planning passes.
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
	p := passes{
		ended:        counters("scheduler_passes_total", "Planning passes, by outcome: ok or failed.", "outcome"),
		last:         gauge("scheduler_last_pass_timestamp_seconds", "When a planning pass last succeeded; 0 before the first."),
		next:         gauge("scheduler_next_plan_timestamp_seconds", "When the schedule plans the next day, by the catalog's clock; 0 if never."),
		planned:      counter("scheduler_planned_nights_total", "Days that were planned."),
		expired:      counter("scheduler_expired_nights_total", "Days whose retention was ended."),
		dispatched:   counter("scheduler_dispatched_archives_total", "Hours that were handed to the workers."),
		redispatched: counter("scheduler_redispatched_archives_total", "Of these, hours whose task was gone."),
		released:     counter("scheduler_released_archives_total", "Hours that were taken from builders that vanished."),
		healed:       counter("scheduler_healed_archives_total", "Hours that should have been due and were not."),
	}
	p.ended.WithLabelValues("ok")
	p.ended.WithLabelValues("failed")
	return p
}

// Passes registers the metrics of planning passes. Call it once, in the scheduler's process.
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
	if !r.NextFiring.IsZero() { // dispatch passes do not set it
		p.next.Set(float64(r.NextFiring.Unix()))
	}
	p.planned.Add(float64(r.Planned))
	p.expired.Add(float64(r.Expired))
	p.dispatched.Add(float64(r.Dispatched))
	p.redispatched.Add(float64(r.Redispatched))
	p.released.Add(float64(r.Released))
	p.healed.Add(float64(r.Repaired))
}
