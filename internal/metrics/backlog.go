package metrics

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/queue"
)

// Catalog counts hours, days and webhooks. Error: KindUnavailable.
type Catalog interface {
	Backlog(ctx context.Context) (catalog.Backlog, error)
}

// Queue counts tasks. Error: KindUnavailable.
type Queue interface {
	Stats(ctx context.Context) (queue.Stats, error)
}

// Backlog registers the metrics of hours and queues. Call it once, in the scheduler's process:
// every other process would report the same.
func (m *Metrics) Backlog(c Catalog, q Queue) {
	m.registry.MustRegister(newCachedCollector(m, "standing", c.Backlog, backlogMetrics()), newCachedCollector(m, "queue", q.Stats, queueMetrics()))
}

func backlogMetrics() []metric[catalog.Backlog] {
	return slices.Concat(hourMetrics(), nightMetrics(), patrolMetrics(), webhookMetrics(), logMetrics())
}

// age is how many seconds ago a time was; 0 for the zero time.
func age(b catalog.Backlog, since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(b.Now.Sub(since).Seconds(), 0)
}

func hourMetrics() []metric[catalog.Backlog] {
	return []metric[catalog.Backlog]{
		number("tenants", "Tenants with daily recordings that had a yesterday.", func(b catalog.Backlog) int64 { return b.Tenants }),
		{"archives", "Hourly archives by state: all of yesterday (UTC); of other days within retention only pending and failed ones.",
			prometheus.GaugeValue, []string{"day", "state"}, func(b catalog.Backlog, set setter) {
				set(float64(b.Yesterday.Available), "yesterday", catalog.StateAvailable)
				set(float64(b.Yesterday.NoData), "yesterday", catalog.StateNoData)
				set(float64(b.Yesterday.Pending), "yesterday", catalog.StatePending)
				set(float64(b.Yesterday.Failed), "yesterday", catalog.StateFailed)
				set(float64(b.Other.Pending), "other", catalog.StatePending)
				set(float64(b.Other.Failed), "other", catalog.StateFailed)
			}},
		number("planned_nights", "Tenants whose yesterday (UTC) is planned.", func(b catalog.Backlog) int64 { return b.Yesterday.Planned }),
		{"incomplete_nights", "Days, one per tenant, that hold recordings and are not planned, or have pending or failed hours.",
			prometheus.GaugeValue, []string{"day"}, func(b catalog.Backlog, set setter) {
				set(float64(b.Yesterday.Incomplete), "yesterday")
				set(float64(b.Other.Incomplete), "other")
			}},
		number("due_archives", "Hours that wait to be built now.", func(b catalog.Backlog) int64 { return b.Due }),
		number("oldest_due_age_seconds", "How long the first of them waits; 0 if none.", func(b catalog.Backlog) float64 { return age(b, b.OldestDue) }),
		number("building_archives", "Hours that a worker builds.", func(b catalog.Backlog) int64 { return b.Building }),
		number("oldest_build_age_seconds", "How long the longest of these builds runs; 0 if none.", func(b catalog.Backlog) float64 { return age(b, b.OldestBuild) }),
		number("missing_files", "Recordings that the archives served lack: gone, changed or unreadable in the object store.", func(b catalog.Backlog) int64 { return b.MissingFiles }),
		number("archives_with_missing_files", "Archives served that lack recordings.", func(b catalog.Backlog) int64 { return b.MissingHours }),
		number("short_locks", "Archives whose lock in the object store ends before their retention; 0 while CALLVAULT_ARCHIVES_LOCK is off.", func(b catalog.Backlog) int64 { return b.LocksShort }),
		number("open_erasures", "Erasures that are not proven yet.", func(b catalog.Backlog) int64 { return b.Erasures }),
		number("oldest_erasure_age_seconds", "How long ago the first of them was asked; 0 if none.", func(b catalog.Backlog) float64 { return age(b, b.OldestErasure) }),
	}
}

func nightMetrics() []metric[catalog.Backlog] {
	return []metric[catalog.Backlog]{
		number("cut_short_nights", "Days, one per tenant, that ended within the last week while hours were pending or failed, or had recordings in no archive.",
			func(b catalog.Backlog) int64 { return b.CutShort }),
		{"short_nights", "Days, one per tenant, that have fewer recordings than their totals say and are over, or ended or got a total within the last week. waiting: for CALLVAULT_TOTALS_GRACE, or for hours to be built, two days at most. short: all others.",
			prometheus.GaugeValue, []string{"state"}, func(b catalog.Backlog, set setter) {
				set(float64(b.ShortWaiting), "waiting")
				set(float64(b.Short), "short")
			}},
		number("surplus_nights", "Days, one per tenant, that have more recordings than their totals say and are over, or ended or got a total within the last week.",
			func(b catalog.Backlog) int64 { return b.Surplus }),
	}
}

func patrolMetrics() []metric[catalog.Backlog] {
	return []metric[catalog.Backlog]{
		number("faults", "Recordings, and archives that only a hold keeps, that the patrol found gone, changed or unreadable in the object store.", func(b catalog.Backlog) int64 { return b.Faults }),
		{"patrol_last_round_timestamp_seconds", "When the patrol had last read all recordings or archives; 0 before.", prometheus.GaugeValue, []string{"kind"}, func(b catalog.Backlog, set setter) {
			for _, r := range b.Patrols {
				ended := 0.0
				if !r.Ended.IsZero() {
					ended = float64(r.Ended.Unix())
				}
				set(ended, r.Kind)
			}
		}},
		{"patrol_overdue_seconds", "How long ago the patrol's round should have ended; 0 while it is in time.", prometheus.GaugeValue, []string{"kind"}, func(b catalog.Backlog, set setter) {
			for _, r := range b.Patrols {
				overdue := 0.0
				if r.Running {
					overdue = max(b.Now.Sub(r.Due).Seconds(), 0)
				}
				set(overdue, r.Kind)
			}
		}},
		{"patrol_round_bytes", "Bytes of the patrol's present or last round: expected when it began, and read.", prometheus.GaugeValue, []string{"kind", "state"}, func(b catalog.Backlog, set setter) {
			for _, r := range b.Patrols {
				set(float64(r.Expected), r.Kind, "expected")
				set(float64(r.Bytes), r.Kind, "read")
			}
		}},
	}
}

func webhookMetrics() []metric[catalog.Backlog] {
	return []metric[catalog.Backlog]{
		{"webhooks", "Webhooks by state: enabled, disabled, or gone (disabled since their receiver answered 410).",
			prometheus.GaugeValue, []string{"state"}, func(b catalog.Backlog, set setter) {
				set(float64(b.Webhooks.Enabled), "enabled")
				set(float64(b.Webhooks.Disabled), "disabled")
				set(float64(b.Webhooks.Gone), "gone")
			}},
		number("failing_webhooks", "Enabled webhooks for which an event waits that failed three times or more.", func(b catalog.Backlog) int64 { return b.Webhooks.Failing }),
		number("given_up_deliveries", "Events for enabled webhooks that were given up within the last week and not replayed.",
			func(b catalog.Backlog) int64 { return b.Webhooks.GivenUp }),
	}
}

func logMetrics() []metric[catalog.Backlog] {
	return []metric[catalog.Backlog]{
		number("log_leaves", "Audit lines and seals with a number in the log.", func(b catalog.Backlog) int64 { return b.Log.Size }),
		number("log_oldest_unsealed_age_seconds", "How old the oldest audit line is that no checkpoint of the log covers; 0 if none.",
			func(b catalog.Backlog) float64 { return age(b, b.Log.Oldest) }),
		number("log_lost_leaves", "Leaves of the log whose audit lines the catalog lost when it was restored.", func(b catalog.Backlog) int64 { return b.Log.Lost }),
		number("log_gone_lines", "Audit lines that were taken away before they had a number in the log.", func(b catalog.Backlog) int64 { return b.Log.Gone }),
		{"log_checkpoint_timestamp_seconds", "When the newest checkpoint of the log was written; absent before the first.", prometheus.GaugeValue, nil,
			func(b catalog.Backlog, set setter) {
				if !b.Log.Checkpoint.IsZero() {
					set(float64(b.Log.Checkpoint.Unix()))
				}
			}},
	}
}

func queueMetrics() []metric[queue.Stats] {
	byQueue := func(value func(q queue.QueueStats) float64) func(queue.Stats, setter) {
		return func(s queue.Stats, set setter) {
			for _, q := range s.Queues {
				set(value(q), q.Name)
			}
		}
	}
	memory := func(value func(m *queue.Memory) int64) func(queue.Stats, setter) {
		return func(s queue.Stats, set setter) {
			if s.Memory != nil {
				set(float64(value(s.Memory)))
			}
		}
	}
	return []metric[queue.Stats]{
		{"queue_tasks", "Tasks in Redis, by queue and state.", prometheus.GaugeValue, []string{"queue", "state"},
			func(s queue.Stats, set setter) {
				for _, q := range s.Queues {
					for state, n := range q.Sizes {
						set(float64(n), q.Name, state)
					}
				}
			}},
		{"queue_latency_seconds", "How long the oldest pending task waits.", prometheus.GaugeValue, []string{"queue"},
			byQueue(func(q queue.QueueStats) float64 { return q.Latency.Seconds() })},
		{"queue_processed_tasks_total", "Tasks that ended.", prometheus.CounterValue, []string{"queue"},
			byQueue(func(q queue.QueueStats) float64 { return float64(q.Processed) })},
		{"queue_failed_tasks_total", "Of these, tasks that failed.", prometheus.CounterValue, []string{"queue"},
			byQueue(func(q queue.QueueStats) float64 { return float64(q.Failed) })},
		number("worker_slots", "Hours that all workers alive can build at once.", func(s queue.Stats) int { return s.Slots }),
		{"redis_memory_used_bytes", "Memory that Redis uses; absent where Redis does not tell.", prometheus.GaugeValue, nil,
			memory(func(m *queue.Memory) int64 { return m.Used })},
		{"redis_memory_max_bytes", "Memory that Redis may use; 0 without a limit, absent where Redis does not tell.", prometheus.GaugeValue, nil,
			memory(func(m *queue.Memory) int64 { return m.Max })},
	}
}
