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

// trail is the span of a pass. Most passes find nothing to do, every second while an hour waits:
// the span is made, backdated, when the first thing is found.
type trail struct {
	tracer trace.Tracer
	name   string
	began  time.Time

	mu   sync.Mutex
	span trace.Span // nil before
}

type trailKey struct{}

// begin gives a pass its trail, and the function that ends it.
func (p *Planner) begin(ctx context.Context, name string) (context.Context, func(*Report, error)) {
	t := &trail{tracer: p.tracer, name: name, began: p.now()}
	return context.WithValue(ctx, trailKey{}, t), func(r *Report, err error) {
		if t.span == nil {
			return
		}
		t.span.SetAttributes(
			attribute.Int("callvault.days.planned", r.Planned), attribute.Int("callvault.days.expired", r.Expired),
			attribute.Int("callvault.hours.healed", r.Healed), attribute.Int("callvault.hours.released", r.Released),
			attribute.Int("callvault.hours.dispatched", r.Dispatched), attribute.Int("callvault.hours.redispatched", r.Redispatched),
			attribute.Int("callvault.hours.waiting", r.Waiting))
		telemetry.Failed(t.span, err)
		t.span.End()
	}
}

// found says that the pass has something to do, and gives the context of its span.
func found(ctx context.Context) context.Context {
	t, ok := ctx.Value(trailKey{}).(*trail)
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

// enqueueing begins the span under which an hour is built, linked to the pass. An hour that somebody
// asked for belongs to the asker's trace. One that the clock made due has a trace of its own: a
// night's hours in one would be too much to look at.
func (p *Planner) enqueueing(ctx context.Context, d catalog.DueHour, dispatch int64) (context.Context, trace.Span) {
	pass := trace.LinkFromContext(ctx)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "asynq"), attribute.String("messaging.destination.name", queue.Build),
		attribute.String("messaging.message.id", queue.Task{Key: d.HourKey, Dispatch: dispatch}.ID()),
		attribute.String("callvault.tenant", d.Tenant), attribute.String("callvault.day", string(d.Day)), attribute.Int("callvault.hour", d.Hour),
	)}
	if d.Trace == "" {
		options = append(options, trace.WithNewRoot())
	}
	if pass.SpanContext.IsValid() {
		options = append(options, trace.WithLinks(pass))
	}
	ctx = telemetry.FromTraceparent(ctx, d.Trace)
	return telemetry.Begin(ctx, p.tracer, "enqueue hour", options...)
}
