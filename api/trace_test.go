package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/internal/telemetry"
)

// newTraced is newAPI with a family that sets the tenant, and with recorded spans.
func newTraced(t *testing.T) (http.Handler, *observer.ObservedLogs, *tracetest.SpanRecorder) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	log := zap.New(core)
	spans := tracetest.NewSpanRecorder()
	mux := http.NewServeMux()
	mux.HandleFunc("/t/{id}", func(w http.ResponseWriter, r *http.Request) {
		telemetry.SetRoute(r.Context(), r.Pattern)
		telemetry.SetTenant(r.Context(), "acme")
		log.Info("inside", telemetry.In(r.Context()))
		_, _ = io.WriteString(w, "it")
	})
	mux.HandleFunc("/t/{id}/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	known := api.Family{Name: "t", Owns: func(path string) bool { return strings.HasPrefix(path, "/t/") }, Handler: mux}
	return api.New(api.Config{}, api.Deps{Families: []api.Family{known, family("f")}, Log: log, Now: time.Now,
		Tracer: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)),
		Pages:  map[string]http.HandlerFunc{"/healthz": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive") }}}), logs, spans
}

func attributes(s sdk.ReadOnlySpan) map[attribute.Key]string {
	all := map[attribute.Key]string{}
	for _, a := range s.Attributes() {
		all[a.Key] = a.Value.String()
	}
	return all
}

func TestRequestsAreTracedByRoute(t *testing.T) {
	h, _, spans := newTraced(t)
	ask(h, "GET", "/t/+4915112345678?token=secret-thing", "", "X-Request-Id", "r1", "Authorization", "Bearer secret-thing")
	ask(h, "INVENTED", "/t/1/broken", "")
	ask(h, "POST", "/f/panic", "")
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans", len(ended))
	}
	a := attributes(ended[0])
	if ended[0].Name() != "t GET /t/{id}" || ended[0].SpanKind() != trace.SpanKindServer || a["callvault.request_id"] != "r1" || a["callvault.tenant"] != "acme" ||
		a["http.route"] != "/t/{id}" || a["http.response.status_code"] != "200" {
		t.Errorf("%s: %v", ended[0].Name(), a)
	}
	for key, value := range a {
		if strings.Contains(value, "secret-thing") || strings.Contains(value, "4915112345678") {
			t.Errorf("%s is %s", key, value)
		}
	}
	if ended[1].Name() != "t _OTHER" || ended[1].Status().Description != "Service Unavailable" {
		t.Errorf("%s: %v", ended[1].Name(), ended[1].Status())
	}
	if a := attributes(ended[2]); a["http.response.status_code"] != "500" {
		t.Errorf("a panic: %v", a)
	}
}

// Health checks come every few seconds, and strangers call any path: such spans would be noise.
func TestTheRoutersOwnAnswersHaveNoSpan(t *testing.T) {
	h, logs, spans := newTraced(t)
	ask(h, "GET", "/healthz", "")
	ask(h, "GET", "/wp-login.php", "")
	if n := len(spans.Started()); n > 0 {
		t.Errorf("%d spans", n)
	}
	for _, line := range logs.All() {
		if line.ContextMap()["request_id"] == "" || line.ContextMap()["trace_id"] != nil {
			t.Errorf("%v", line.ContextMap())
		}
	}
}

func TestCallersTracesAreLinkedNotJoined(t *testing.T) {
	const remote = "4bf92f3577b34da6a3ce929d0e0e4736"
	h, _, spans := newTraced(t)
	ask(h, "GET", "/t/1", "", "traceparent", "00-"+remote+"-00f067aa0ba902b7-01")
	ask(h, "GET", "/t/1", "", "traceparent", "00-nonsense")
	s := spans.Ended()[0]
	if s.Parent().IsValid() || s.SpanContext().TraceID().String() == remote {
		t.Errorf("the caller's trace was joined: %v", s.SpanContext())
	}
	if links := s.Links(); len(links) != 1 || links[0].SpanContext.TraceID().String() != remote {
		t.Errorf("links %v", links)
	}
	if links := spans.Ended()[1].Links(); len(links) > 0 {
		t.Errorf("links %v", links)
	}
}

func TestLinesOfARequestHaveItsIDs(t *testing.T) {
	h, logs, spans := newTraced(t)
	w := ask(h, "GET", "/t/1", "")
	id, want := w.Header().Get("X-Request-Id"), spans.Ended()[0].SpanContext()
	if logs.Len() != 2 {
		t.Fatalf("%d lines", logs.Len())
	}
	for _, line := range logs.All() {
		m := line.ContextMap()
		if m["request_id"] != id || m["tenant"] != "acme" || m["trace_id"] != want.TraceID().String() || m["span_id"] != want.SpanID().String() {
			t.Errorf("%s: %v", line.Message, m)
		}
	}
	untraced, logs := newAPI(t, api.Config{})
	ask(untraced, "GET", "/f/read", "", "X-Request-Id", "r2", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if m := logs.All()[0].ContextMap(); m["request_id"] != "r2" || m["trace_id"] != nil || m["tenant"] != nil {
		t.Errorf("%v", m)
	}
}
