package worker

import (
	"cmp"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

// tracedParts is how many parts of an upload have a span of their own. Further parts and all
// sources (up to 70,000) are only counted, so that a build has some 40 spans at most.
const tracedParts = 24

// begin starts the span of a task. Log lines written with the context name the task.
func (w *Worker) begin(ctx context.Context, t queue.Task) (context.Context, trace.Span) {
	ctx = withTask(ctx, t)
	return telemetry.Begin(ctx, w.tracer, "build hour", trace.WithSpanKind(trace.SpanKindConsumer), t.Attributes())
}

func withTask(ctx context.Context, t queue.Task) context.Context {
	return telemetry.WithTask(ctx, telemetry.Task{ID: t.ID(), Tenant: t.Key.Tenant, Day: string(t.Key.Day), Hour: t.Key.Hour})
}

// step runs do as a span of the build.
func (b *Builder) step(ctx context.Context, name string, do func(ctx context.Context, span trace.Span) error) error {
	return telemetry.Step(ctx, b.tracer, name, do)
}

// setOutcome writes a build's outcome into the task's span.
func setOutcome(ctx context.Context, o Outcome, revision int64) {
	trace.SpanFromContext(ctx).SetAttributes(
		attribute.Int64("callvault.revision", revision), attribute.String("callvault.outcome", cmp.Or(string(o.Kind), "archived")),
		attribute.Int64("callvault.archive.bytes", o.Size), attribute.Int("callvault.archive.files", o.Files),
		attribute.Int("callvault.archive.missing", o.Missing))
}

// fetchSpan is the span of all reads of a build, from the opening of the first to the end of the
// last.
type fetchSpan struct {
	tracer trace.Tracer
	now    func() time.Time
	ctx    context.Context // the parent's, for a span that begins with the first read

	once   sync.Once
	span   trace.Span
	reads  atomic.Int64
	failed atomic.Int64
	bytes  atomic.Int64
	last   atomic.Int64 // when a read ended, in Unix nanoseconds
}

// trace gives open with its reads counted, or open itself when the build is not traced.
func (f *fetchSpan) trace(open archiver.Source) archiver.Source {
	if !trace.SpanFromContext(f.ctx).IsRecording() {
		return open
	}
	return func(ctx context.Context, e archiver.Entry, from, n int64, etag string) (archiver.Object, error) {
		f.once.Do(func() { _, f.span = telemetry.Begin(f.ctx, f.tracer, "fetch sources") })
		f.reads.Add(1)
		o, err := open(ctx, e, from, n, etag)
		f.last.Store(f.now().UnixNano())
		if err != nil {
			f.failed.Add(1)
			return o, err
		}
		o.Body = &tracedBody{ReadCloser: o.Body, fetchSpan: f}
		return o, nil
	}
}

func (f *fetchSpan) end() {
	f.once.Do(func() {}) // no span is started from here on
	if f.span == nil {
		return
	}
	f.span.SetAttributes(attribute.Int64("callvault.reads", f.reads.Load()), attribute.Int64("callvault.reads.failed", f.failed.Load()),
		attribute.Int64("callvault.bytes", f.bytes.Load()))
	f.span.End(trace.WithTimestamp(time.Unix(0, f.last.Load())))
}

type tracedBody struct {
	io.ReadCloser
	fetchSpan *fetchSpan
}

func (r *tracedBody) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.fetchSpan.bytes.Add(int64(n))
	return n, err
}

func (r *tracedBody) Close() error {
	r.fetchSpan.last.Store(r.fetchSpan.now().UnixNano())
	return r.ReadCloser.Close()
}

// uploadSpan is the span of an archive's upload.
type uploadSpan struct {
	tracer  trace.Tracer
	span    trace.Span // nil before the first begin
	begun   int
	parts   atomic.Int64
	bytes   atomic.Int64
	retried atomic.Int64
}

// begin starts the span. It is called again when the upload begins again without a missing source.
func (u *uploadSpan) begin(ctx context.Context) {
	u.begun++
	if u.span == nil {
		_, u.span = telemetry.Begin(ctx, u.tracer, "upload archive")
		return
	}
	u.span.AddEvent("begun again without what has vanished")
}

// part starts the span of a part. Parts after the first tracedParts get a span that records
// nothing.
func (u *uploadSpan) part(ctx context.Context, number int, data []byte) (context.Context, trace.Span) {
	u.bytes.Add(int64(len(data)))
	ctx = trace.ContextWithSpan(ctx, u.span)
	if u.parts.Add(1) > tracedParts {
		return ctx, noop.Span{}
	}
	return telemetry.Begin(ctx, u.tracer, "upload part", trace.WithAttributes(
		attribute.Int("callvault.part", number), attribute.Int("callvault.bytes", len(data))))
}

// context is ctx with the upload's span.
func (u *uploadSpan) context(ctx context.Context) context.Context {
	if u.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, u.span)
}

func (u *uploadSpan) end(err error) {
	if u.span == nil {
		return
	}
	u.span.SetAttributes(attribute.Int64("callvault.parts", u.parts.Load()), attribute.Int64("callvault.bytes", u.bytes.Load()),
		attribute.Int64("callvault.parts.repeated", u.retried.Load()), attribute.Int("callvault.uploads", u.begun))
	telemetry.Failed(u.span, err)
	u.span.End()
}
