package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/callvault/callvault/internal/domain"
)

// scope is the instrumentation scope of callvault's spans.
const scope = "github.com/callvault/callvault"

// Tracer returns the tracer of p. Without a p it returns one whose spans do nothing.
func Tracer(p trace.TracerProvider) trace.Tracer {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return p.Tracer(scope)
}

// Begin starts a span that the caller ends.
func Begin(ctx context.Context, tracer trace.Tracer, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return tracer.Start(ctx, name, options...) //nolint:spancheck // the caller's to end
}

// Traceparent returns the trace that ctx belongs to as text, for FromTraceparent; "" when there is
// none.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// FromTraceparent returns ctx with the trace of the text. A text without one changes nothing.
func FromTraceparent(ctx context.Context, text string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": text})
}

// Failed sets a span's status by err, which may be nil. The span gets the error's kind only,
// because messages can contain file names that callers chose.
func Failed(span trace.Span, err error) {
	if err == nil || !span.IsRecording() {
		return
	}
	kind := string(domain.KindOf(err))
	span.SetAttributes(attribute.String("error.type", kind))
	if domain.KindOf(err) == domain.KindInterrupted || errors.Is(err, context.Canceled) {
		return // the process stops, or the caller is gone: neither is an error
	}
	span.SetStatus(codes.Error, kind)
}

// Step runs do as a span of its own below the one in ctx.
func Step(ctx context.Context, tracer trace.Tracer, name string, do func(ctx context.Context, span trace.Span) error) error {
	ctx, span := tracer.Start(ctx, name)
	defer span.End()
	err := do(ctx, span)
	Failed(span, err)
	return err
}
