package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

const (
	adminToken = "the-admin-token-of-the-tests-of-processes"
	phone      = "4915112345678"
)

// traced makes the processes send their spans to an address.
func (f *fixture) traced(address string) {
	f.env["OTEL_EXPORTER_OTLP_ENDPOINT"], f.env["OTEL_BSP_SCHEDULE_DELAY"] = address, "100"
	f.env["CALLVAULT_ADMIN_TOKEN"], f.env["CALLVAULT_LOG_LEVEL"] = adminToken, "debug"
}

// rebuild requests a rebuild of a day as an operator does.
func (f *fixture) rebuild(d day, request string) {
	f.t.Helper()
	status, body := f.request(http.MethodPost, fmt.Sprintf("http://%s/api/admin/v1/tenants/%s/days/%s/rebuild", publicHost, d.tenant, d.day),
		map[string]string{"Authorization": "Bearer " + adminToken, "X-Request-Id": request}, strings.NewReader(`{"force":true}`))
	if status != http.StatusOK && status != http.StatusAccepted {
		f.t.Fatalf("the rebuild answered %d: %s", status, body)
	}
}

// logged finds the line of a message with certain fields.
func logged(p *process, message string, fields map[string]string) map[string]any {
	p.t.Helper()
	for line := range strings.Lines(p.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			p.t.Errorf("%s says what is no JSON: %s", p.name, line)
			continue
		}
		fits := m["message"] == message
		for key, value := range fields {
			fits = fits && m[key] == value
		}
		if fits {
			return m
		}
	}
	p.t.Errorf("%s does not say %q with %v", p.name, message, fields)
	return nil
}

// askedHours is more than are dispatched for one tenant at once, so the scheduler dispatches the
// rest.
const askedHours = 10

// TestTraces follows a night and an operator's rebuild request through three processes, and checks
// that no span has a secret.
func TestTraces(t *testing.T) {
	w, r := newFixture(t), newReceiver(t)
	w.traced(r.URL)
	w.tenant("acme", "beta")
	yesterday := w.yesterday()
	list := spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 0}, "long", 2, 9<<20) // an upload in parts
	for hour := range askedHours {
		list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "call-"+phone, 30, 1000)...)
	}
	w.take(append(list, spread(domain.HourKey{Tenant: "beta", Day: yesterday, Hour: 3}, "r", 4, 1000)...))
	w.step("taken in")
	api, worker, scheduler := w.start("api"), w.start("worker"), w.start("scheduler")
	w.waitBuilt(day{"acme", yesterday}, day{"beta", yesterday})
	w.step("the night is built")
	w.rebuild(day{"acme", yesterday}, "operator-1")
	eventually(t, "every hour has another revision", func(ctx context.Context) string {
		v, err := w.cat.Day(ctx, "acme", yesterday)
		w.must(err)
		for _, h := range v.Hours[:askedHours] {
			if h.Revision < 2 {
				return fmt.Sprintf("hour %d has not: %s", h.Hour, h.LastError)
			}
		}
		return ""
	})
	w.step("the operator's wish is built")
	_, answer := w.askDay("acme", yesterday)
	secrets := []string{internalToken, adminToken, w.apps["acme"].Secret, w.env["CALLVAULT_S3_SECRET_KEY"], w.token("acme"), "X-Amz-", phone}
	for _, l := range answer.Links {
		if l.URL != nil {
			link, err := url.Parse(*l.URL)
			w.must(err)
			secrets = append(secrets, link.Query().Get("token"))
			_, err = w.download(*l.URL, l.Hour+".zip")
			w.must(err)
		}
	}
	w.step("everything is downloaded")
	for _, p := range []*process{scheduler, worker, api} {
		p.term()
	}
	w.step("stopped")
	w.askedTrace(r, api, worker)
	nightTraces(t, r)
	for _, secret := range secrets {
		if secret == "" {
			t.Error("a secret is not known")
		} else if strings.Contains(r.text.String(), secret) {
			t.Errorf("spans tell %.8s…", secret)
		}
		for _, p := range []*process{scheduler, worker, api} {
			if secret != phone && strings.Contains(p.log.String(), secret) {
				t.Errorf("the %s logs %.8s…", p.name, secret)
			}
		}
	}
}

// askedTrace: one trace leads from the operator's request to the commit.
func (f *fixture) askedTrace(r *receiver, api, worker *process) {
	f.t.Helper()
	requests := r.named("admin-api POST /api/admin/v1/tenants/{tenant}/days/{day}/rebuild", "")
	if len(requests) != 1 || requests[0].about["callvault.request_id"] != "operator-1" || requests[0].roles != "api" {
		f.t.Fatalf("the request's spans are %v", requests)
	}
	root := requests[0]
	for name, count := range map[string]int{
		"enqueue hour": askedHours, "build hour": askedHours, "claim hour": askedHours, "read hour": askedHours, "fetch sources": askedHours,
		"upload archive": askedHours, "commit archive": askedHours, "upload part": askedHours - 1 + 3, "complete upload": 1, "dispatch pass": 1,
	} {
		of := r.named(name, root.trace)
		if len(of) != count {
			f.t.Errorf("the request's trace has %d spans of %q, want %d", len(of), name, count)
		}
		for _, s := range of {
			if !r.below(s, root) || name == "commit archive" && s.roles != "worker" {
				f.t.Errorf("%q is not below the request: %v", name, s)
			}
		}
	}
	build := r.named("build hour", root.trace)[0]
	if build.about["callvault.tenant"] != "acme" || build.about["callvault.outcome"] != "archived" {
		f.t.Errorf("the build tells %v", build.about)
	}
	line := logged(api, "request", map[string]string{"request_id": "operator-1"})
	if line["trace_id"] != root.trace || line["span_id"] != root.id {
		f.t.Errorf("the request's line has the trace %v", line["trace_id"])
	}
	line = logged(worker, "hour archived", map[string]string{"trace_id": root.trace})
	if line["tenant"] != "acme" || line["day"] == nil || line["hour"] == nil || !strings.HasPrefix(fmt.Sprint(line["task"]), "h:acme:") {
		f.t.Errorf("the build's line is %v", line)
	}
	line = logged(api, "request", map[string]string{"family": "recordings", "tenant": "acme"})
	if line["trace_id"] == nil {
		f.t.Errorf("a tenant's request is %v", line)
	}
}

// nightTraces: each hour of the night has a trace of its own that is linked to the planner's pass.
func nightTraces(t *testing.T, r *receiver) {
	t.Helper()
	passes := map[string]bool{}
	for _, name := range []string{"plan pass", "dispatch pass"} {
		for _, s := range r.named(name, "") {
			passes[s.trace] = s.roles == "scheduler"
		}
	}
	if len(r.named("plan days", "")) == 0 {
		t.Error("no span tells that days were planned")
	}
	found := 0
	for _, s := range r.named("enqueue hour", "") {
		if s.roles != "scheduler" || s.parent != "" {
			continue
		}
		found++
		if len(s.links) != 1 || !passes[s.links[0]] {
			t.Errorf("an hour of the night has the links %v", s.links)
		}
		if s.about["callvault.tenant"] == "beta" && (len(r.named("build hour", s.trace)) != 1 || len(r.named("commit archive", s.trace)) != 1) {
			t.Error("a night's build is not in its hour's trace")
		}
	}
	if found != askedHours+1 {
		t.Errorf("%d hours of the night have spans", found)
	}
}

// TestNightWithoutAReceiver runs a night while the traces' receiver accepts connections and never
// answers.
func TestNightWithoutAReceiver(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f := newStandalone(t)
	f.traced("http://" + silent.Addr().String())
	f.env["OTEL_EXPORTER_OTLP_TIMEOUT"] = "300"
	p := f.standalone()
	f.tenant("acme")
	yesterday := f.yesterday()
	var list []recording
	for hour := range 24 {
		list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "r", 4, 5000)...)
	}
	f.takeFiles(list)
	f.waitBuilt(day{"acme", yesterday})
	f.check(day{"acme", yesterday})
	p.await(p.log, "traces cannot be sent")
	p.term()
	p.alone()
	if n := strings.Count(p.log.String(), "traces cannot be sent"); n != 1 {
		t.Errorf("%d lines tell of the outage", n)
	}
}
