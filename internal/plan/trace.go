package plan

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

// passSpan is the span of a pass. It is made, with the pass's start as its own, when the pass
// finds something to do: most passes find nothing, and they run every second while an hour waits.
type passSpan struct {
	tracer trace.Tracer
	name   string
	began  time.Time

	mu   sync.Mutex
	span trace.Span // nil as long as nothing was found
}

type passSpanKey struct{}

// begin gives a pass its context, and the function that ends its span.
func (p *Planner) begin(ctx context.Context, name string) (context.Context, func(*Report, error)) {
	t := &passSpan{tracer: p.tracer, name: name, began: p.now()}
	return context.WithValue(ctx, passSpanKey{}, t), func(r *Report, err error) {
		if t.span == nil {
			return
		}
		t.span.SetAttributes(
			attribute.Int("callvault.days.planned", r.Planned), attribute.Int("callvault.days.expired", r.Expired),
			attribute.Int("callvault.hours.healed", r.Repaired), attribute.Int("callvault.hours.released", r.Released),
			attribute.Int("callvault.hours.dispatched", r.Dispatched), attribute.Int("callvault.hours.redispatched", r.Redispatched),
			attribute.Int("callvault.hours.waiting", r.Waiting))
		telemetry.Failed(t.span, err)
		t.span.End()
	}
}

// startSpan starts the span of the pass, unless it was started before, and gives its context. A
// step calls it when it has found something to do.
func startSpan(ctx context.Context) context.Context {
	t, ok := ctx.Value(passSpanKey{}).(*passSpan)
	if !ok {
		return ctx
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.span == nil {
		_, t.span = telemetry.Begin(ctx, t.tracer, t.name, trace.WithTimestamp(t.began))
	}
	return trace.ContextWithSpan(ctx, t.span)
}

// beginEnqueue begins the span under which an hour is built, linked to the pass. An hour that
// somebody asked for belongs to that request's trace. Any other hour has a trace of its own, since
// one trace of all hours of a night could not be read.
func (p *Planner) beginEnqueue(ctx context.Context, d catalog.DueHour, dispatch int64) (context.Context, trace.Span) {
	pass := trace.LinkFromContext(ctx)
	task := queue.Task{Key: d.HourKey, Dispatch: dispatch}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), task.Attributes()}
	if d.Trace == "" {
		options = append(options, trace.WithNewRoot())
	}
	if pass.SpanContext.IsValid() {
		options = append(options, trace.WithLinks(pass))
	}
	ctx = telemetry.FromTraceparent(ctx, d.Trace)
	return telemetry.Begin(ctx, p.tracer, "enqueue hour", options...)
}
