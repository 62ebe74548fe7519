package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestMetrics runs a night with one process per role, and evaluates their metrics by the project's
// alerts and dashboard in a Prometheus.
func TestMetrics(t *testing.T) {
	f := newFixture(t)
	f.env["CALLVAULT_ADMIN_TOKEN"] = adminToken
	f.tenant("acme", "beta")
	yesterday := f.yesterday()
	night(f, yesterday)
	api, worker, scheduler := f.start("api"), f.start("worker"), f.start("scheduler")
	f.waitBuilt(day{"acme", yesterday}, day{"beta", yesterday})
	askTooOften(f, yesterday)
	if status, _ := f.request(http.MethodGet, "http://"+api.serving()+"/metrics", nil, nil); status != http.StatusUnauthorized {
		t.Errorf("the API's numbers are given to strangers: %d", status)
	}
	p := newWatch(t, map[string]string{"api": api.serving(), "worker": worker.serving(), "scheduler": scheduler.serving()})
	text := ""
	for _, address := range []string{api.serving(), worker.serving(), scheduler.serving()} {
		status, numbers := f.request(http.MethodGet, "http://"+address+"/metrics", map[string]string{"Authorization": "Bearer " + adminToken}, nil)
		if status != http.StatusOK {
			t.Fatalf("%s answers %d", address, status)
		}
		checkNumbers(t, numbers)
		text += string(numbers)
	}
	checkNames(t, text)
	checkBacklog(f, p)
	checkQueries(t, p)
	checkRules(t, p)

	f.step("the worker goes")
	worker.kill()
	p.until("max(callvault_worker_slots)", "0")
	p.until(`up{role="worker"}`, "0")
	for _, proc := range []*process{api, scheduler} {
		proc.term()
	}
}

// night registers a night of two tenants: of acme one file is missing, and of one hour all.
func night(f *fixture, yesterday domain.Day) {
	f.t.Helper()
	var there []recording
	for _, hour := range []int{3, 9, 17} {
		for _, tenant := range []string{"acme", "beta"} {
			there = append(there, spread(domain.HourKey{Tenant: tenant, Day: yesterday, Hour: hour}, "r", 4, 20_000)...)
		}
	}
	f.take(there)
	gone := spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 9}, "gone", 1, 1000)
	gone = append(gone, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 11}, "gone", 2, 1000)...)
	f.registered(gone)
}

// askTooOften downloads one of acme's archives, and requests beta's day once more than its limit.
func askTooOften(f *fixture, yesterday domain.Day) {
	f.t.Helper()
	f.ok("tenant", "set", "beta", "--day-limit", "1")
	for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if status, _ := f.askDay("beta", yesterday); status != want {
			f.t.Errorf("beta's day answers %d, want %d", status, want)
		}
	}
	_, answer := f.askDay("acme", yesterday)
	if answer.Links[3].URL == nil {
		f.t.Fatalf("hour 3 is %s", answer.Links[3].Status)
	}
	_, err := f.download(*answer.Links[3].URL, "acme.zip")
	f.must(err)
}

// checkNumbers checks a process's metrics by Prometheus's rules, and that none names a tenant.
func checkNumbers(t *testing.T, numbers []byte) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Installed(t, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(string(numbers))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	for _, secret := range []string{"acme", "beta", ".opus", "conv-", adminToken, internalToken} {
		if strings.Contains(string(numbers), secret) {
			t.Errorf("the numbers name %q", secret)
		}
	}
}

var metricName = regexp.MustCompile(`\b(callvault_\w+|process_\w+|go_\w+)`)

// checkNames: a process exposes every metric that the alerts and the dashboard use.
func checkNames(t *testing.T, text string) {
	t.Helper()
	var used []string
	for _, r := range rules(t) {
		used = append(used, metricName.FindAllString(r.Expr, -1)...)
	}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			used = append(used, metricName.FindAllString(target.Expr, -1)...)
		}
	}
	for _, name := range used {
		if !regexp.MustCompile(`(?m)^` + name + `[{ ]`).MatchString(text) {
			t.Errorf("nobody tells %s", name)
		}
	}
}

// watch is a Prometheus that scrapes the processes and has the project's alerts.
type watch struct {
	t      *testing.T
	server *testenv.PrometheusServer
}

func newWatch(t *testing.T, roles map[string]string) *watch {
	t.Helper()
	alerts, err := filepath.Abs(filepath.Join(prometheusDir, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [" + alerts + "]\nscrape_configs:\n" +
		"  - job_name: callvault\n    authorization: {credentials: " + adminToken + "}\n    static_configs:\n"
	for role, address := range roles {
		config += fmt.Sprintf("      - {targets: [%q], labels: {role: %s}}\n", address, role)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &watch{t, testenv.NewPrometheus(t, file)}
	p.until(`sum(up{job="callvault"})`, "3")
	p.until(`min(count_over_time(up{job="callvault"}[1m])) >= bool 3`, "1") // rates need several samples
	return p
}

// ask returns Prometheus's answer.
func (p *watch) ask(ctx context.Context, path string, query url.Values, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.server.URL()+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	var answer struct {
		Status string          `json:"status"`
		Error  string          `json:"error"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(a.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", query, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// value evaluates an expression now and returns its first sample; "" without one.
func (p *watch) value(ctx context.Context, expr string) (string, error) {
	var data struct {
		Result []struct {
			Value [2]any `json:"value"`
		} `json:"result"`
	}
	err := p.ask(ctx, "/api/v1/query", url.Values{"query": {expr}}, &data)
	if err != nil || len(data.Result) == 0 {
		return "", err
	}
	return fmt.Sprint(data.Result[0].Value[1]), nil
}

func (p *watch) until(expr, want string) {
	p.t.Helper()
	eventually(p.t, expr+" is "+want, func(ctx context.Context) string {
		got, err := p.value(ctx, expr)
		if err != nil || got != want {
			return fmt.Sprintf("%q, %v", got, err)
		}
		return ""
	})
}

// checkBacklog checks the metrics of the night.
func checkBacklog(f *fixture, p *watch) {
	f.t.Helper()
	f.step("the night in numbers")
	p.until(`callvault_tenants`, "2")
	p.until(`callvault_planned_nights`, "2")
	p.until(`callvault_archives{day="yesterday",state="available"}`, "6")
	p.until(`callvault_archives{day="yesterday",state="failed"}`, "1")
	p.until(`callvault_incomplete_nights{day="yesterday"}`, "1")
	p.until(`callvault_missing_files`, "1")
	p.until(`sum(callvault_downloads_total{outcome="redirect"})`, "1")
	p.until(`sum(callvault_http_limited_requests_total{family="recordings"})`, "1")
	p.until(`sum(callvault_build_duration_seconds_count{outcome="archived"})`, "6")
	p.until(`sum(callvault_build_duration_seconds_count{outcome="all_missing"}) >= bool 1`, "1")
	p.until(`sum(callvault_source_errors_total{kind="not_found"}) >= bool 3`, "1")
	p.until(`sum(callvault_http_request_duration_seconds_count{family="recordings",route=~".+/[{]hour[}]/download",code="3xx"})`, "1")
	p.until(`max(callvault_worker_slots) >= bool 1`, "1")
	p.until(`min(callvault_up)`, "1")
	p.until(`min(callvault_collector_up)`, "1")
	p.until(`sum(callvault_store_request_duration_seconds_count{operation="get",outcome="2xx"}) >= bool 24`, "1")
}

// checkQueries runs the dashboard's queries. Some panels have no data in a good night.
func checkQueries(t *testing.T, p *watch) {
	t.Helper()
	for _, panel := range readDashboard(t).Panels {
		shown := false
		for _, target := range panel.Targets {
			value, err := p.value(t.Context(), strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
			if err != nil {
				t.Errorf("panel %q: %v", panel.Title, err)
			}
			shown = shown || value != ""
		}
		if !shown && panel.Type != "row" && panel.Title != "Failed requests to the parts" {
			t.Errorf("panel %q is empty", panel.Title)
		}
	}
}

// checkRules: Prometheus evaluates every rule, and the alerts for this night fire.
func checkRules(t *testing.T, p *watch) {
	t.Helper()
	quiet := map[string]bool{ // alerts that must not fire, at any time of day
		"CallvaultNothingScheduled": true, "CallvaultSchedulerSilent": true, "CallvaultArchivesLate": true, "CallvaultNightCutShort": true,
		"CallvaultDown": true, "CallvaultPartDown": true, "CallvaultNumbersMissing": true, "CallvaultNoWorker": true, "CallvaultErrors": true,
		"CallvaultWebhookFailing": true, "CallvaultWebhookGivenUp": true, "CallvaultWebhookGone": true,
	}
	eventually(t, "the alerts are as they should be", func(ctx context.Context) string {
		var data struct {
			Groups []struct {
				Rules []struct {
					Name, Health, LastError, State string
				}
			}
		}
		if err := p.ask(ctx, "/api/v1/rules", nil, &data); err != nil {
			return err.Error()
		}
		count := 0
		for _, g := range data.Groups {
			for _, r := range g.Rules {
				count++
				switch heard := r.State == "pending" || r.State == "firing"; {
				case r.Health != "ok":
					return r.Name + " is " + r.Health + ": " + r.LastError
				case (r.Name == "CallvaultArchiveFailed" || r.Name == "CallvaultRecordingsMissing") && !heard:
					return r.Name + " is not heard"
				case quiet[r.Name] && heard:
					return r.Name + " is " + r.State
				}
			}
		}
		if want := len(rules(t)); count != want {
			return fmt.Sprintf("%d rules of %d", count, want)
		}
		return ""
	})
}

// TestMetricsWithoutParts stops the parts one by one: the other metrics are still exposed, in time.
func TestMetricsWithoutParts(t *testing.T) {
	f := newPrivateFixture(t)
	f.tenant("acme")
	f.take(spread(domain.HourKey{Tenant: "acme", Day: f.yesterday(), Hour: 3}, "r", 1, 1000))
	scheduler := f.start("scheduler")
	tells := func(what string, lines ...string) {
		t.Helper()
		eventually(t, what, func(ctx context.Context) string {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // Prometheus's scrape timeout
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+scheduler.serving()+"/metrics", nil)
			f.must(err)
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				return err.Error()
			}
			defer a.Body.Close()
			text, err := io.ReadAll(a.Body)
			if err != nil || a.StatusCode != http.StatusOK {
				return fmt.Sprintf("%s, %v", a.Status, err)
			}
			for _, line := range lines {
				if !strings.Contains(string(text), "\n"+line+"\n") {
					return "it does not say " + line
				}
			}
			return ""
		})
	}
	tells("all is told", `callvault_up{part="catalog"} 1`, `callvault_up{part="queue"} 1`, `callvault_up{part="objects"} 1`,
		`callvault_collector_up{collector="queue"} 1`, `callvault_collector_up{collector="standing"} 1`, `callvault_due_archives 1`)
	f.step("no Redis")
	f.redis.Pause()
	tells("the rest is told without Redis", `callvault_up{part="queue"} 0`, `callvault_collector_up{collector="queue"} 0`,
		`callvault_up{part="catalog"} 1`, `callvault_due_archives 1`)
	f.step("no catalog")
	f.redis.Resume()
	f.postgres.Stop()
	tells("the rest is told without the catalog", `callvault_up{part="catalog"} 0`, `callvault_collector_up{collector="standing"} 0`,
		`callvault_collector_up{collector="queue"} 1`, `callvault_worker_slots 0`)
	f.step("no object store")
	f.postgres.Start()
	f.minio.Stop()
	tells("the rest is told without the object store", `callvault_up{part="objects"} 0`, `callvault_up{part="catalog"} 1`, `callvault_due_archives 1`)
	f.minio.Start()
	tells("all is back", `callvault_up{part="objects"} 1`, `callvault_collector_up{collector="queue"} 1`)
	scheduler.term()
}
