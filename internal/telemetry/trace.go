package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/callvault/callvault/internal/domain"
)

// scope names callvault among the libraries that make spans.
const scope = "github.com/callvault/callvault"

// Tracer gives the tracer of p; of none, one whose spans are nothing.
func Tracer(p trace.TracerProvider) trace.Tracer {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return p.Tracer(scope)
}

// Begin starts a span that the caller ends elsewhere than where it began.
func Begin(ctx context.Context, tracer trace.Tracer, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return tracer.Start(ctx, name, options...) //nolint:spancheck // the caller's to end
}

// Traceparent writes down the trace that ctx belongs to, for FromTraceparent; "" where there is none.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// FromTraceparent gives ctx the trace that was written down; what is none changes nothing.
func FromTraceparent(ctx context.Context, written string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": written})
}

// Failed marks the span of something that ended with err, nil included. It tells the error's kind
// alone: messages can hold names of files, which callvault did not give.
func Failed(span trace.Span, err error) {
	if err == nil || !span.IsRecording() {
		return
	}
	kind := string(domain.KindOf(err))
	span.SetAttributes(attribute.String("error.type", kind))
	if domain.KindOf(err) == domain.KindInterrupted {
		return // the process stops, nothing is wrong
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
