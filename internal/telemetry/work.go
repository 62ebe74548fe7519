package telemetry

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// work is what lines are about: one request, or one task. It travels in the context, and what
// becomes known on the way (the tenant after authentication) is known to those who began it.
type work struct {
	request string
	task    *Task
	tenant  atomic.Pointer[string]
	route   atomic.Pointer[string]
}

type workKey struct{}

func workOf(ctx context.Context) *work {
	w, _ := ctx.Value(workKey{}).(*work)
	return w
}

// Task names the task that lines are about.
type Task struct {
	ID     string
	Tenant string
	Day    string
	Hour   int
}

// WithRequest begins the work on a request.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, workKey{}, &work{request: id})
}

// WithTask begins the work on a task.
func WithTask(ctx context.Context, t Task) context.Context {
	w := &work{task: &t}
	w.tenant.Store(&t.Tenant)
	return context.WithValue(ctx, workKey{}, w)
}

// RequestID is the id of the request that ctx belongs to, "" outside of one.
func RequestID(ctx context.Context) string {
	if w := workOf(ctx); w != nil {
		return w.request
	}
	return ""
}

// SetTenant says whose data the request is about: call it once the tenant is authenticated.
func SetTenant(ctx context.Context, id string) {
	if w := workOf(ctx); w != nil && id != "" {
		w.tenant.Store(&id)
	}
}

// Tenant is whose data the work is about, "" while that is unknown.
func Tenant(ctx context.Context) string {
	if w := workOf(ctx); w != nil {
		return text(&w.tenant)
	}
	return ""
}

// SetRoute says which pattern of paths the request's path fits. It must name none of the path's values.
func SetRoute(ctx context.Context, pattern string) {
	if w := workOf(ctx); w != nil && pattern != "" {
		w.route.Store(&pattern)
	}
}

// Route is the pattern that the request's path fits, "" while no endpoint has taken it.
func Route(ctx context.Context) string {
	if w := workOf(ctx); w != nil {
		return text(&w.route)
	}
	return ""
}

func text(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

// In gives a line the ids of the work that ctx belongs to: request_id, or task, day and hour; the
// tenant where it is known; trace_id and span_id where the work is traced.
func In(ctx context.Context) zap.Field {
	return zap.Inline(ids{workOf(ctx), trace.SpanContextFromContext(ctx)})
}

type ids struct {
	work *work
	span trace.SpanContext
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (i ids) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if w := i.work; w != nil {
		if w.request != "" {
			enc.AddString("request_id", w.request)
		}
		if tenant := text(&w.tenant); tenant != "" {
			enc.AddString("tenant", tenant)
		}
		if t := w.task; t != nil {
			enc.AddString("day", t.Day)
			enc.AddInt("hour", t.Hour)
			enc.AddString("task", t.ID)
		}
	}
	if i.span.IsSampled() {
		enc.AddString("trace_id", i.span.TraceID().String())
		enc.AddString("span_id", i.span.SpanID().String())
	}
	return nil
}
