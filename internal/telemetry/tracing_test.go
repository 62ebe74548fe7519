package telemetry

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// receiver receives spans by OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*collector.ExportTraceServiceRequest
	headers  http.Header
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(q.Body); err != nil {
				t.Error(err)
				return
			}
		}
		raw, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
			return
		}
		var m collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(raw, &m); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests, r.headers = append(r.requests, &m), q.Header
	}))
	t.Cleanup(r.Close)
	return r
}

func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	return zap.New(core), logs
}

// clean unsets the machine's own settings.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER",
		"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		t.Setenv(name, "")
	}
}

func span(tr *Tracing, name string) trace.SpanContext {
	_, s := Tracer(tr.Provider()).Start(context.Background(), name)
	s.End()
	return s.SpanContext()
}

func TestSpansArriveWithTheirResource(t *testing.T) {
	clean(t)
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=abc")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	log, _ := observed()
	tr := OpenTracing(t.Context(), TracingConfig{Version: "v1", Instance: "host/1", Roles: "api"}, log)
	want := span(tr, "something")
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.requests) != 1 || r.headers.Get("X-Key") != "abc" {
		t.Fatalf("%d requests, headers %v", len(r.requests), r.headers)
	}
	got := r.requests[0].ResourceSpans[0]
	if s := got.ScopeSpans[0].Spans[0]; s.Name != "something" || trace.TraceID(s.TraceId) != want.TraceID() {
		t.Errorf("span %v", s)
	}
	about := map[string]string{}
	for _, a := range got.Resource.Attributes {
		about[a.Key] = a.Value.GetStringValue()
	}
	for key, value := range map[string]string{"service.name": "callvault", "service.version": "v1", "service.instance.id": "host/1", "callvault.roles": "api",
		"deployment.environment.name": "test", "telemetry.sdk.language": "go"} {
		if about[key] != value {
			t.Errorf("%s is %q, want %q", key, about[key], value)
		}
	}
}

func TestTheEnvironmentWins(t *testing.T) {
	clean(t)
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.URL+"/v1/traces")
	t.Setenv("OTEL_SERVICE_NAME", "vault-eu")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	log, logs := observed()
	tr := OpenTracing(t.Context(), TracingConfig{}, log)
	if sc := span(tr, "unsampled"); sc.IsSampled() {
		t.Error("OTEL_TRACES_SAMPLER=always_off samples")
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if len(r.requests) != 0 {
		t.Error("spans were sent")
	}
	if got := logs.FilterMessage("traces are sent").All()[0].ContextMap()["service"]; got != "vault-eu" {
		t.Errorf("the service is %v", got)
	}
}

// running returns the stacks of the tracing library's goroutines. Those of idle HTTP connections
// are not among them.
func running() string {
	stacks := make([]byte, 1<<20)
	var own []string
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "go.opentelemetry.io/") {
			own = append(own, stack)
		}
	}
	return strings.Join(own, "\n\n")
}

func TestOffUnlessAnEndpointIsSet(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing":         {},
		"disabled":        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"no exporter":     {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
		"metrics alone":   {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"},
		"unusable":        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
		"other exporters": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "zipkin"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for k, v := range env {
				t.Setenv(k, v)
			}
			log, logs := observed()
			tr := OpenTracing(t.Context(), TracingConfig{}, log)
			if tr.On() || span(tr, "nothing").IsValid() || running() != "" {
				t.Errorf("on: %v, goroutines:\n%s", tr.On(), running())
			}
			wantLines := 0
			if name == "unusable" || name == "other exporters" {
				wantLines = 1
			}
			if logs.Len() != wantLines {
				t.Errorf("lines %v", logs.All())
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReceiverThatIsAway: a receiver that is away delays nothing and does not fill the log.
func TestReceiverThatIsAway(t *testing.T) {
	// It accepts connections and never answers.
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, address := range map[string]string{"refused": "http://127.0.0.1:1", "silent": "http://" + silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
			log, logs := observed()
			tr := OpenTracing(t.Context(), TracingConfig{}, log)
			for i := range 5000 {
				span(tr, fmt.Sprint(i))
			}
			for running() == "" { // the check below would find it
				time.Sleep(time.Millisecond)
			}
			if err := tr.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if n := logs.FilterMessage("traces cannot be sent and are dropped; nothing else is affected").Len(); n > 1 {
				t.Errorf("%d lines about one outage", n)
			}
			if logs.FilterLevelExact(zapcore.WarnLevel).Len()+logs.FilterMessageSnippet("dropped").Len() == 0 {
				t.Error("no line says that spans are lost")
			}
			testenv.UntilNothing(t, "no goroutine is left", func(context.Context) string { return running() })
		})
	}
}

// silent is an exporter to a receiver that never answers.
type silent struct{ sdk.SpanExporter }

func (silent) ExportSpans(ctx context.Context, _ []sdk.ReadOnlySpan) error {
	<-ctx.Done()
	return ctx.Err()
}
func (silent) Shutdown(context.Context) error { return nil }

// TestEndOfTracing: a process waits only a short time for a receiver that never answers.
func TestEndOfTracing(t *testing.T) {
	for failing, want := range map[bool]time.Duration{false: flushTimeout, true: failingFlushTimeout} {
		synctest.Test(t, func(t *testing.T) {
			e := newExporter(silent{}, zap.NewNop())
			e.failing = failing
			p := sdk.NewTracerProvider(sdk.WithBatcher(e, sdk.WithBatchTimeout(time.Hour), sdk.WithExportTimeout(time.Hour)))
			tr := &Tracing{provider: p, sdk: p, exporter: e}
			for i := range 5000 {
				span(tr, fmt.Sprint(i))
			}
			began := time.Now()
			if err := tr.Close(); err != nil || time.Since(began) != want {
				t.Errorf("failing before: %v; it ends after %s, error %v", failing, time.Since(began), err)
			}
		})
	}
}

// failingExporter fails while it has an error.
type failingExporter struct {
	sdk.SpanExporter
	err error
}

func (f *failingExporter) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return f.err }

func TestOutagesAreToldOnceInAWhile(t *testing.T) {
	log, logs := observed()
	to := &failingExporter{err: io.ErrUnexpectedEOF}
	e := newExporter(to, log)
	at := time.Unix(0, 0)
	e.now = func() time.Time { return at }
	batch := make([]sdk.ReadOnlySpan, 10)
	for range 100 {
		at = at.Add(time.Minute)
		if err := e.ExportSpans(t.Context(), batch); err != nil {
			t.Fatal("the library would print this error:", err)
		}
	}
	if n := logs.Len(); n != 10 {
		t.Errorf("%d lines in 100 minutes", n)
	}
	to.err = nil
	if err := e.ExportSpans(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if last := logs.All()[logs.Len()-1]; last.Message != "traces are sent again" || e.isFailing() {
		t.Errorf("%v", last)
	}
}

// TestSettingsAreNotRepeated: the library prints settings that it cannot read, which can be keys.
func TestSettingsAreNotRepeated(t *testing.T) {
	clean(t)
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "hush-hush")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	log, logs := observed()
	tr := OpenTracing(t.Context(), TracingConfig{}, log)
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if !tr.On() || logs.FilterLevelExact(zapcore.WarnLevel).Len() < 2 {
		t.Errorf("on: %v; lines %v", tr.On(), logs.All())
	}
	for _, line := range logs.All() {
		if strings.Contains(fmt.Sprint(line.ContextMap()), "hush-hush") {
			t.Errorf("%s: %v", line.Message, line.ContextMap())
		}
	}
}

func TestFailuresTellTheirKindAlone(t *testing.T) {
	var ended sdk.ReadOnlySpan
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(onEnd(func(s sdk.ReadOnlySpan) { ended = s })))
	err := Step(t.Context(), Tracer(p), "step", func(context.Context, trace.Span) error {
		return domain.Errorf(domain.KindUnavailable, "calls/+4915112345678.wav does not come")
	})
	if domain.KindOf(err) != domain.KindUnavailable || ended.Status().Description != "unavailable" || len(ended.Events()) > 0 {
		t.Errorf("%v: %v, events %v", err, ended.Status(), ended.Events())
	}
}

type onEnd func(sdk.ReadOnlySpan)

func (onEnd) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (f onEnd) OnEnd(s sdk.ReadOnlySpan)                 { f(s) }
func (onEnd) Shutdown(context.Context) error             { return nil }
func (onEnd) ForceFlush(context.Context) error           { return nil }
