package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// line logs one line with ctx and returns its fields.
func line(t *testing.T, ctx context.Context) map[string]any {
	t.Helper()
	var out bytes.Buffer
	log, err := NewLogger("info", &out, false)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("it", In(ctx))
	var fields map[string]any
	if err := json.Unmarshal(out.Bytes(), &fields); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, key := range []string{"time", "level", "message"} {
		delete(fields, key)
	}
	return fields
}

func TestLinesTellTheirWork(t *testing.T) {
	ctx := t.Context()
	if got := line(t, ctx); len(got) > 0 {
		t.Errorf("outside of any work: %v", got)
	}
	request := WithRequest(ctx, "r1")
	if diff := cmp.Diff(map[string]any{"request_id": "r1"}, line(t, request)); diff != "" {
		t.Error(diff)
	}
	SetTenant(context.WithoutCancel(request), "acme") // further in
	SetRoute(request, "/x/{id}")
	if diff := cmp.Diff(map[string]any{"request_id": "r1", "tenant": "acme"}, line(t, request)); diff != "" {
		t.Error(diff)
	}
	if Tenant(request) != "acme" || Route(request) != "/x/{id}" || RequestID(request) != "r1" || Tenant(ctx)+Route(ctx)+RequestID(ctx) != "" {
		t.Error("the work does not know its own")
	}
	task := WithTask(ctx, Task{ID: "h:acme:20251212:14:d1", Tenant: "acme", Day: "2025-12-12", Hour: 14})
	want := map[string]any{"task": "h:acme:20251212:14:d1", "tenant": "acme", "day": "2025-12-12", "hour": 14.0}
	if diff := cmp.Diff(want, line(t, task)); diff != "" {
		t.Error(diff)
	}
	traced, s := Tracer(sdk.NewTracerProvider()).Start(task, "s")
	defer s.End()
	want["trace_id"], want["span_id"] = s.SpanContext().TraceID().String(), s.SpanContext().SpanID().String()
	if diff := cmp.Diff(want, line(t, traced)); diff != "" {
		t.Error(diff)
	}
}

// TestUnsampledLinesHaveNoTrace: the ids of a span that is not sent are not logged.
func TestUnsampledLinesHaveNoTrace(t *testing.T) {
	ctx, s := Tracer(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))).Start(WithRequest(t.Context(), "r1"), "s")
	defer s.End()
	if diff := cmp.Diff(map[string]any{"request_id": "r1"}, line(t, ctx)); diff != "" {
		t.Error(diff)
	}
}
