package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/queue"
)

const (
	// readLife is how long what was read is good enough, readTimeout how long reading may take: less
	// than the ten seconds after which Prometheus gives up on all numbers.
	readLife    = 10 * time.Second
	readTimeout = 5 * time.Second
)

// Catalog knows how the archives stand. Error: KindUnavailable.
type Catalog interface {
	Backlog(ctx context.Context) (catalog.Backlog, error)
}

// Queue knows how the queues stand. Error: KindUnavailable.
type Queue interface {
	Stats(ctx context.Context) (queue.Stats, error)
}

// Backlog begins to tell of hours and queues. Call it once, where the scheduler runs: every other
// process would say the same.
func (m *Metrics) Standing(c Catalog, q Queue) {
	m.registry.MustRegister(
		newReading(m, "standing", standingDescs(), c.Backlog, tellStanding),
		newReading(m, "queue", queueDescs(), q.Stats, tellQueue))
}

// descs are the metrics of one collector.
type descs map[string]*prometheus.Desc

func (d descs) add(name, help string, labels ...string) {
	d[name] = prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// tell makes a metric of one of the descs.
type tell func(name string, kind prometheus.ValueType, value float64, labels ...string)

// reading collects what is read when somebody asks.
type reading[T any] struct {
	name  string
	descs descs
	up    *prometheus.Desc
	read  func(ctx context.Context) (T, error)
	tell  func(v T, t tell)
	now   func() time.Time
	log   *zap.Logger

	mu    sync.Mutex // held while reading, so that all who ask share one answer
	value T
	err   error
	at    time.Time
}

func newReading[T any](m *Metrics, name string, d descs, read func(ctx context.Context) (T, error), tell func(v T, t tell)) *reading[T] {
	up := prometheus.NewDesc(namespace+"_collector_up", "Whether the numbers of this collector could be read; they are left out else.",
		nil, prometheus.Labels{"collector": name})
	return &reading[T]{name: name, descs: d, up: up, read: read, tell: tell, now: m.now, log: m.log}
}

// Describe implements prometheus.Collector.
func (r *reading[T]) Describe(to chan<- *prometheus.Desc) {
	to <- r.up
	for _, d := range r.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reading[T]) Collect(to chan<- prometheus.Metric) {
	value, err := r.current()
	up := 1.0
	if err != nil {
		up = 0
	} else {
		r.tell(value, func(name string, kind prometheus.ValueType, v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(r.descs[name], kind, v, labels...)
		})
	}
	to <- prometheus.MustNewConstMetric(r.up, prometheus.GaugeValue, up)
}

func (r *reading[T]) current() (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && r.now().Sub(r.at) < readLife {
		return r.value, r.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	before := r.err
	r.value, r.err = r.read(ctx)
	r.at = r.now()
	if r.err != nil && before == nil {
		r.log.Warn("numbers cannot be read and are left out", zap.String("collector", r.name), zap.Error(r.err))
	}
	return r.value, r.err
}

func standingDescs() descs {
	d := descs{}
	d.add("tenants", "Tenants with daily recordings that had a yesterday.")
	d.add("archives", "Hourly archives by state: all of yesterday (UTC); of other days within retention only pending and failed ones.", "day", "state")
	d.add("planned_nights", "Tenants whose yesterday (UTC) is planned.")
	d.add("incomplete_nights", "Days, one per tenant, that hold recordings and are not planned, or have pending or failed hours.", "day")
	d.add("due_archives", "Hours that wait to be built now.")
	d.add("oldest_due_age_seconds", "How long the first of them waits; 0 if none.")
	d.add("building_archives", "Hours that a worker builds.")
	d.add("oldest_build_age_seconds", "How long the longest of these builds runs; 0 if none.")
	d.add("missing_files", "Recordings that the archives served lack: gone, changed or unreadable in the object store.")
	d.add("archives_with_missing_files", "Archives served that lack recordings.")
	d.add("cut_short_nights", "Days, one per tenant, that ended within the last week and were never complete, or lacked what came later.")
	d.add("webhooks", "Webhooks by state: enabled, disabled, or gone (disabled since their receiver answered 410).", "state")
	d.add("failing_webhooks", "Enabled webhooks for which an event waits that failed three times or more.")
	d.add("given_up_deliveries", "Events for enabled webhooks that were given up within the last week and not replayed.")
	return d
}

func tellStanding(s catalog.Backlog, t tell) {
	gauge := func(name string, v int64, labels ...string) { t(name, prometheus.GaugeValue, float64(v), labels...) }
	age := func(name string, since time.Time) {
		seconds := 0.0
		if !since.IsZero() {
			seconds = max(s.Now.Sub(since).Seconds(), 0)
		}
		t(name, prometheus.GaugeValue, seconds)
	}
	y, o := s.Yesterday, s.Other
	gauge("tenants", s.Tenants)
	gauge("archives", y.Available, "yesterday", catalog.StateAvailable)
	gauge("archives", y.NoData, "yesterday", catalog.StateNoData)
	gauge("archives", y.Pending, "yesterday", catalog.StatePending)
	gauge("archives", y.Failed, "yesterday", catalog.StateFailed)
	gauge("archives", o.Pending, "other", catalog.StatePending)
	gauge("archives", o.Failed, "other", catalog.StateFailed)
	gauge("planned_nights", y.Planned)
	gauge("incomplete_nights", y.Incomplete, "yesterday")
	gauge("incomplete_nights", o.Incomplete, "other")
	gauge("due_archives", s.Due)
	age("oldest_due_age_seconds", s.OldestDue)
	gauge("building_archives", s.Building)
	age("oldest_build_age_seconds", s.OldestBuild)
	gauge("missing_files", s.MissingFiles)
	gauge("archives_with_missing_files", s.MissingHours)
	gauge("cut_short_nights", s.CutShort)
	w := s.Webhooks
	gauge("webhooks", w.Enabled, "enabled")
	gauge("webhooks", w.Disabled, "disabled")
	gauge("webhooks", w.Gone, "gone")
	gauge("failing_webhooks", w.Failing)
	gauge("given_up_deliveries", w.GivenUp)
}

func queueDescs() descs {
	d := descs{}
	d.add("queue_tasks", "Tasks in Redis, by queue and state.", "queue", "state")
	d.add("queue_latency_seconds", "How long the oldest pending task waits.", "queue")
	d.add("queue_processed_tasks_total", "Tasks that ended.", "queue")
	d.add("queue_failed_tasks_total", "Of these, tasks that failed.", "queue")
	d.add("worker_slots", "Hours that all workers alive can build at once.")
	d.add("redis_memory_used_bytes", "Memory that Redis uses; absent where Redis does not tell.")
	d.add("redis_memory_max_bytes", "Memory that Redis may use; 0 without a limit, absent where Redis does not tell.")
	return d
}

func tellQueue(s queue.Stats, t tell) {
	for _, q := range s.Queues {
		for state, n := range q.Sizes {
			t("queue_tasks", prometheus.GaugeValue, float64(n), q.Name, state)
		}
		t("queue_latency_seconds", prometheus.GaugeValue, q.Latency.Seconds(), q.Name)
		t("queue_processed_tasks_total", prometheus.CounterValue, float64(q.Processed), q.Name)
		t("queue_failed_tasks_total", prometheus.CounterValue, float64(q.Failed), q.Name)
	}
	t("worker_slots", prometheus.GaugeValue, float64(s.Slots))
	if s.Memory != nil {
		t("redis_memory_used_bytes", prometheus.GaugeValue, float64(s.Memory.Used))
		t("redis_memory_max_bytes", prometheus.GaugeValue, float64(s.Memory.Max))
	}
}
