package api

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/callvault/callvault/internal/telemetry"
)

// startSpan starts the span of a request. Requests that the router answers itself, such as health,
// have none. The span begins a new trace with a link to the caller's: a stranger must not decide
// what is sampled here, nor the id of a trace.
func (d *dispatcher) startSpan(family Family, r *http.Request) (*http.Request, trace.Span) {
	ctx := r.Context()
	if d.deps.Tracer == nil || family.Name == routerName {
		return r, trace.SpanFromContext(ctx)
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("http.request.method", method(r)),
			attribute.String("callvault.family", family.Name),
			attribute.String("callvault.request_id", telemetry.RequestID(ctx)),
		),
	}
	remote := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header)))
	if remote.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: remote}))
	}
	ctx, span := telemetry.Begin(ctx, telemetry.Tracer(d.deps.Tracer), family.Name+" "+method(r), options...)
	return r.WithContext(ctx), span
}

// endSpan names the span by the route, which is known after the request. Path and query are not in
// the span: they hold ids, and tokens of links.
func endSpan(span trace.Span, family Family, r *http.Request, out *recorder) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	ctx := r.Context()
	if route := telemetry.Route(ctx); route != "" {
		span.SetName(family.Name + " " + method(r) + " " + route)
		span.SetAttributes(attribute.String("http.route", route))
	}
	if tenant := telemetry.Tenant(ctx); tenant != "" {
		span.SetAttributes(attribute.String("callvault.tenant", tenant))
	}
	span.SetAttributes(attribute.Int("http.response.status_code", out.status), attribute.Int64("http.response.body.size", out.bytes))
	if out.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(out.status))
	}
}

// method is the request's method, or "_OTHER" for one that HTTP does not define.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "_OTHER"
}
