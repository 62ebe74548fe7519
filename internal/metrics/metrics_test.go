package metrics_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/metrics"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
)

// fixture is metrics over parts whose answers the test sets.
type fixture struct {
	*testing.T
	metrics *metrics.Metrics
	logs    *observer.ObservedLogs
	at      time.Time
	backlog catalog.Backlog
	reads   int
	broken  error // of the catalog
	stats   queue.Stats
}

func (f *fixture) Backlog(context.Context) (catalog.Backlog, error) {
	f.reads++
	return f.backlog, f.broken
}

func (f *fixture) Stats(context.Context) (queue.Stats, error) { return f.stats, nil }

func newFixture(t *testing.T) *fixture {
	core, logs := observer.New(zap.WarnLevel)
	f := &fixture{T: t, logs: logs, at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.metrics = metrics.New("v1.2.3", func() time.Time { return f.at }, zap.New(core))
	f.metrics.Downloads()
	f.metrics.Builds()
	f.metrics.Passes()
	f.metrics.Backlog(f, f)
	f.metrics.Checks(func(context.Context) map[string]bool { return map[string]bool{"catalog": true, "queue": false} })
	f.metrics.Connections(func() map[string]sql.DBStats {
		return map[string]sql.DBStats{"write": {MaxOpenConnections: 24, InUse: 2}}
	})
	f.backlog = catalog.Backlog{Now: f.at, Tenants: 3, Due: 2, OldestDue: f.at.Add(-90 * time.Second), MissingFiles: 7,
		Yesterday: catalog.DaysBacklog{Available: 40, Pending: 8, Planned: 2, Incomplete: 1}, Other: catalog.DaysBacklog{Failed: 1}, Webhooks: outbox.Backlog{Enabled: 9, Disabled: 1, Gone: 2, Failing: 3, GivenUp: 4},
		Log: merkle.Backlog{Size: 11, Lost: 2, Gone: 1, Checkpoint: f.at.Add(-time.Minute), Oldest: f.at.Add(-30 * time.Second)}}
	f.stats = queue.Stats{Slots: 4, Memory: &queue.Memory{Used: 5, Max: 10},
		Queues: []queue.QueueStats{{Name: "build", Sizes: map[string]int{"pending": 6}, Latency: 2 * time.Second, Processed: 9, Failed: 1}}}
	return f
}

// scrape returns the answer to a scrape.
func (f *fixture) scrape() string {
	f.Helper()
	a := httptest.NewRecorder()
	f.metrics.Handler()(a, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if a.Code != http.StatusOK {
		f.Fatalf("%d: %s", a.Code, a.Body)
	}
	return a.Body.String()
}

// says fails unless every line is in the answer to a scrape.
func (f *fixture) says(lines ...string) {
	f.Helper()
	text := f.scrape()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			f.Errorf("%q is not told, but:\n%s", line, strings.Join(regexp.MustCompile(`(?m)^`+name+`.*$`).FindAllString(text, -1), "\n"))
		}
	}
}

func TestRequests(t *testing.T) {
	f := newFixture(t)
	const route = "/days/{utcDay}/{hour}/download"
	for _, status := range []int{200, 206, 206, 302, 429, 403, 499, 500} {
		f.metrics.Request(metrics.Request{Family: "recordings", Route: route, Method: "GET", Status: status, Bytes: 100, Took: time.Second})
	}
	f.metrics.Request(metrics.Request{Family: "recordings", Route: route, Method: "HEAD", Status: 200})
	f.metrics.Request(metrics.Request{Family: "none", Method: "INVENTED", Status: 0})
	f.says(
		`callvault_downloads_total{outcome="whole"} 1`, `callvault_downloads_total{outcome="part"} 2`, `callvault_downloads_total{outcome="redirect"} 1`,
		`callvault_downloads_total{outcome="limited"} 1`, `callvault_downloads_total{outcome="refused"} 1`, `callvault_downloads_total{outcome="failed"} 1`, `callvault_downloads_total{outcome="canceled"} 1`,
		`callvault_http_limited_requests_total{family="recordings",route="`+route+`"} 1`,
		`callvault_http_response_bytes_total{family="recordings"} 800`,
		`callvault_http_request_duration_seconds_count{code="2xx",family="recordings",method="GET",route="`+route+`"} 3`,
		`callvault_http_request_duration_seconds_count{code="499",family="recordings",method="GET",route="`+route+`"} 1`,
		`callvault_http_request_duration_seconds_count{code="none",family="none",method="other",route="none"} 1`)
}

func TestWork(t *testing.T) {
	f := newFixture(t)
	f.metrics.Built(metrics.Build{Took: 2 * time.Second, Size: 3 << 20, Files: 30, Missing: 1})
	f.metrics.Built(metrics.Build{Took: time.Second})
	f.metrics.Built(metrics.Build{Kind: domain.KindStalled, Took: time.Minute, Size: 9})
	f.metrics.DeletionRefused()
	f.metrics.Pass(plan.Report{Planned: 2, Dispatched: 5, NextFiring: f.at.Add(time.Hour)}, nil)
	f.metrics.Pass(plan.Report{Released: 1}, errors.New("no catalog"))
	f.metrics.Store(objstore.Observed{Operation: "get", Outcome: "2xx", Took: time.Millisecond})
	f.metrics.Catalog(db.Observed{Operation: "write", Outcome: "unavailable", Took: time.Millisecond})
	f.says(
		`callvault_build_duration_seconds_count{outcome="archived"} 2`, `callvault_build_duration_seconds_count{outcome="stalled"} 1`,
		`callvault_archive_size_bytes_count 1`, `callvault_archived_bytes_total 3.145728e+06`, `callvault_archived_files_total 30`,
		`callvault_archived_missing_files_total 1`, `callvault_refused_deletions_total 1`,
		`callvault_scheduler_passes_total{outcome="ok"} 1`, `callvault_scheduler_passes_total{outcome="failed"} 1`,
		`callvault_scheduler_planned_nights_total 2`, `callvault_scheduler_dispatched_archives_total 5`, `callvault_scheduler_released_archives_total 1`,
		`callvault_scheduler_last_pass_timestamp_seconds 1.767323045e+09`, `callvault_scheduler_next_plan_timestamp_seconds 1.767326645e+09`,
		`callvault_store_request_duration_seconds_count{operation="get",outcome="2xx"} 1`,
		`callvault_catalog_operation_duration_seconds_count{operation="write",outcome="unavailable"} 1`,
		`callvault_build_info{version="v1.2.3"} 1`)
}

// TestBacklog: the state is read at a scrape, and at most every ten seconds.
func TestBacklog(t *testing.T) {
	f := newFixture(t)
	f.says(
		`callvault_tenants 3`, `callvault_archives{day="yesterday",state="available"} 40`, `callvault_archives{day="yesterday",state="pending"} 8`,
		`callvault_archives{day="other",state="failed"} 1`, `callvault_incomplete_nights{day="yesterday"} 1`, `callvault_planned_nights 2`,
		`callvault_due_archives 2`, `callvault_oldest_due_age_seconds 90`, `callvault_oldest_build_age_seconds 0`, `callvault_missing_files 7`,
		`callvault_webhooks{state="enabled"} 9`, `callvault_webhooks{state="disabled"} 1`, `callvault_webhooks{state="gone"} 2`,
		`callvault_failing_webhooks 3`, `callvault_given_up_deliveries 4`,
		`callvault_log_leaves 11`, `callvault_log_oldest_unsealed_age_seconds 30`, `callvault_log_lost_leaves 2`, `callvault_log_gone_lines 1`,
		`callvault_log_checkpoint_timestamp_seconds 1.767322985e+09`,
		`callvault_queue_tasks{queue="build",state="pending"} 6`, `callvault_queue_latency_seconds{queue="build"} 2`,
		`callvault_queue_processed_tasks_total{queue="build"} 9`, `callvault_worker_slots 4`,
		`callvault_redis_memory_used_bytes 5`, `callvault_redis_memory_max_bytes 10`,
		`callvault_up{part="catalog"} 1`, `callvault_up{part="queue"} 0`,
		`callvault_catalog_connections{pool="write",state="in_use"} 2`, `callvault_catalog_connections_max{pool="write"} 24`,
		`callvault_collector_up{collector="standing"} 1`, `callvault_collector_up{collector="queue"} 1`)
	f.at = f.at.Add(9 * time.Second)
	f.scrape()
	if f.reads != 1 {
		t.Errorf("the catalog was read %d times within ten seconds", f.reads)
	}
	f.at = f.at.Add(time.Second)
	f.scrape()
	if f.reads != 2 {
		t.Errorf("after ten seconds the catalog was read %d times", f.reads)
	}
}

// TestPartAway: metrics that can't be read are left out, the others are not, and one line is
// logged.
func TestPartAway(t *testing.T) {
	f := newFixture(t)
	f.broken = domain.Errorf(domain.KindUnavailable, "the catalog failed")
	f.stats.Memory = nil
	for range 3 {
		f.says(`callvault_collector_up{collector="standing"} 0`, `callvault_worker_slots 4`)
		text := f.scrape()
		for _, name := range []string{"callvault_tenants", "callvault_archives", "callvault_redis_memory_used_bytes"} {
			if strings.Contains(text, name) {
				t.Errorf("%s is told without being known", name)
			}
		}
		f.at = f.at.Add(time.Minute)
	}
	if n := f.logs.Len(); n != 1 {
		t.Errorf("%d lines were logged: %v", n, f.logs.All())
	}
	f.broken = nil
	f.says(`callvault_collector_up{collector="standing"} 1`, `callvault_tenants 3`)
}

// TestNames has every metric checked by Prometheus's own rules, and no label that could name a
// tenant.
func TestNames(t *testing.T) {
	f := newFixture(t)
	f.metrics.Request(metrics.Request{Family: "f", Route: "/x", Method: "GET", Status: 429})
	problems, err := testutil.GatherAndLint(f.metrics.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := f.metrics.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := " code collector day family kind method operation outcome part pool queue route state version "
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "callvault_") {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if !strings.Contains(known, " "+l.GetName()+" ") {
					t.Errorf("%s has a label %s: can it name a tenant, or anything else of which there are many?", family.GetName(), l.GetName())
				}
			}
		}
	}
}

// bucket fails with the errors that the test sets.
type bucket struct{ err, reading error }

func (b bucket) Get(context.Context, string, objstore.GetOptions) (*objstore.Object, error) {
	return &objstore.Object{Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{b.reading}))}, b.err
}

func (b bucket) Stat(context.Context, string) (objstore.Info, error) { return objstore.Info{}, b.err }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSourceErrors(t *testing.T) {
	f := newFixture(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, kind := range []domain.Kind{domain.KindNotFound, domain.KindConflict, domain.KindUnavailable} {
		s := f.metrics.Sources(bucket{err: domain.Errorf(kind, "no")})
		for _, ctx := range []context.Context{t.Context(), ended} {
			if _, err := s.Get(ctx, "key", objstore.GetOptions{}); domain.KindOf(err) != kind {
				t.Fatal(err)
			}
		}
		if _, err := s.Stat(t.Context(), "key"); domain.KindOf(err) != kind {
			t.Fatal(err)
		}
	}
	for _, err := range []error{io.EOF, domain.Errorf(domain.KindUnavailable, "the connection broke")} {
		o, opened := f.metrics.Sources(bucket{reading: err}).Get(t.Context(), "key", objstore.GetOptions{})
		if opened != nil {
			t.Fatal(opened)
		}
		if text, read := io.ReadAll(o.Body); string(text) != "half" || (read != nil) != !errors.Is(err, io.EOF) {
			t.Fatal(text, read)
		}
	}
	f.says(`callvault_source_errors_total{kind="not_found"} 2`, `callvault_source_errors_total{kind="conflict"} 2`,
		`callvault_source_errors_total{kind="unavailable"} 3`)
}

// TestMetricsInUseExist: alerts, their tests, the dashboard and the docs name declared metrics
// only.
func TestMetricsInUseExist(t *testing.T) {
	declared := map[string]bool{}
	descs := make(chan *prometheus.Desc)
	go func() {
		newFixture(t).metrics.Gatherer().(prometheus.Collector).Describe(descs)
		close(descs)
	}()
	name := regexp.MustCompile(`callvault_\w+[a-z]`)
	for d := range descs {
		declared[name.FindString(d.String())] = true
	}
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	inCode := regexp.MustCompile("`callvault_\\w+[`{ ]") // docs also abbreviate: `callvault_scheduler_…`
	for file, pattern := range map[string]*regexp.Regexp{"deploy/prometheus/alerts.yml": name, "deploy/prometheus/alerts_test.yml": name,
		"deploy/grafana/dashboards/callvault.json": name, "docs/operations.md": inCode} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		used := pattern.FindAllString(string(text), -1)
		if len(used) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, use := range used {
			m := name.FindString(use)
			if !declared[m] && !declared[suffix.ReplaceAllString(m, "")] {
				t.Errorf("%s names %s, which is not declared", file, m)
			}
		}
	}
}
