package api

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/callvault/callvault/internal/telemetry"
)

// begin starts the span of a request. What the router answers by itself, such as health, has none.
// A caller's trace is linked to, not joined: strangers decide neither what is sampled here nor
// what a trace is called.
func (d *dispatcher) begin(family Family, r *http.Request) (*http.Request, trace.Span) {
	ctx := r.Context()
	if d.deps.Tracer == nil || family.Name == ownName {
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

// end names the span by the route, which is known by now. Neither the path nor its query stands
// in it: they hold ids, and links' tokens.
func end(span trace.Span, family Family, r *http.Request, out *recorder) {
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

// method is the request's if it is one that a stranger did not invent.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "_OTHER"
}
