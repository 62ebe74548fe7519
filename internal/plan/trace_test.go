package plan_test

import (
	"context"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/telemetry"
)

// tracedPlanner makes a planner whose spans are kept.
func (f *fixture) tracedPlanner() (*plan.Planner, *tracetest.SpanRecorder, trace.Tracer) {
	f.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	return f.planner(plan.Config{Tracer: provider}), spans, telemetry.Tracer(provider)
}

func named(spans *tracetest.SpanRecorder, name string) (all []sdk.ReadOnlySpan) {
	for _, s := range spans.Ended() {
		if s.Name() == name {
			all = append(all, s)
		}
	}
	return all
}

// A pass has a trace, and each hour has a trace that is linked to it.
func TestNightlyPassIsTraced(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.add("acme", day, 3, 4)
	p, spans, _ := f.tracedPlanner()
	_, err := p.FullPass(t.Context())
	f.must(err)
	passes, hours := named(spans, "plan pass"), named(spans, "enqueue hour")
	if len(passes) != 1 || len(named(spans, "plan days")) == 0 || len(hours) != 2 {
		t.Fatalf("%d passes, %d hours of %d spans", len(passes), len(hours), len(spans.Ended()))
	}
	seen := map[trace.TraceID]bool{passes[0].SpanContext().TraceID(): true}
	for _, h := range hours {
		if seen[h.SpanContext().TraceID()] || len(h.Links()) != 1 || h.Links()[0].SpanContext.SpanID() != passes[0].SpanContext().SpanID() {
			t.Errorf("an hour's span is not one of its own, linked to the pass: %v", h.Links())
		}
		seen[h.SpanContext().TraceID()] = true
	}
}

func TestPassesWithNothingToDoHaveNoSpan(t *testing.T) {
	f := newFixture(t)
	p, spans, _ := f.tracedPlanner()
	for _, pass := range []func(context.Context) (plan.Report, error){p.FullPass, p.DispatchPass, p.DispatchPass} {
		if _, err := pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(spans.Started()); n > 0 {
		t.Errorf("%d spans", n)
	}
}

// An hour that a request made due is in the request's trace.
func TestRequestedHoursAreInTheRequestsTrace(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.add("acme", day, 3)
	p, spans, tracer := f.tracedPlanner()
	ctx, request := tracer.Start(t.Context(), "request")
	due, err := p.Archive(ctx, catalog.RebuildRequest{Tenant: "acme", Day: day, Hour: 3})
	f.must(err)
	request.End()
	hours := named(spans, "enqueue hour")
	if len(named(spans, "archive day")) != 1 {
		t.Error("the request to archive has no span")
	}
	if due != 1 || len(hours) != 1 || hours[0].SpanContext().TraceID() != request.SpanContext().TraceID() {
		t.Errorf("%d due, %d spans", due, len(hours))
	}
}
