package telemetry

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// work is the request or task that log lines belong to. The context carries a pointer to it, so
// that what is set further in (the tenant after authentication) is also in later lines of the
// caller.
type work struct {
	request string
	task    *Task
	tenant  atomic.Pointer[string]
	route   atomic.Pointer[string]
}

type workKey struct{}

// workOf returns the work that ctx belongs to; an empty one when there is none.
func workOf(ctx context.Context) *work {
	if w, ok := ctx.Value(workKey{}).(*work); ok {
		return w
	}
	return new(work)
}

// Task names a task of the queue.
type Task struct {
	ID     string
	Tenant string
	Day    string
	Hour   int
}

// WithRequest returns a context for the work on a request.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, workKey{}, &work{request: id})
}

// WithTask returns a context for the work on a task.
func WithTask(ctx context.Context, t Task) context.Context {
	w := &work{task: &t}
	w.tenant.Store(&t.Tenant)
	return context.WithValue(ctx, workKey{}, w)
}

// RequestID is the id of the request that ctx belongs to; "" when there is none.
func RequestID(ctx context.Context) string { return workOf(ctx).request }

// SetTenant sets the tenant of the request. Call it when the tenant is authenticated.
func SetTenant(ctx context.Context, id string) {
	if id != "" {
		workOf(ctx).tenant.Store(&id)
	}
}

// Tenant is the tenant that the work is for; "" while it is unknown.
func Tenant(ctx context.Context) string { return text(&workOf(ctx).tenant) }

// SetRoute sets the pattern that the request's path matches. It must contain no value of the path.
func SetRoute(ctx context.Context, pattern string) {
	if pattern != "" {
		workOf(ctx).route.Store(&pattern)
	}
}

// Route is the pattern that the request's path matches; "" while no endpoint matched.
func Route(ctx context.Context) string { return text(&workOf(ctx).route) }

func text(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

// In is a log field with the ids of the work that ctx belongs to: request_id, or task, day and
// hour; the tenant when it is known; trace_id and span_id when the work is traced.
func In(ctx context.Context) zap.Field {
	return zap.Inline(ids{workOf(ctx), trace.SpanContextFromContext(ctx)})
}

type ids struct {
	work *work
	span trace.SpanContext
}

func (i ids) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if i.work.request != "" {
		enc.AddString("request_id", i.work.request)
	}
	if tenant := text(&i.work.tenant); tenant != "" {
		enc.AddString("tenant", tenant)
	}
	if t := i.work.task; t != nil {
		enc.AddString("day", t.Day)
		enc.AddInt("hour", t.Hour)
		enc.AddString("task", t.ID)
	}
	if i.span.IsSampled() {
		enc.AddString("trace_id", i.span.TraceID().String())
		enc.AddString("span_id", i.span.SpanID().String())
	}
	return nil
}
