// Package telemetry makes the logger that every part receives, and the tracing.
//
// The context carries the request or task that it belongs to: In adds their ids to a log line, and
// spans begin below the context's span. Tracing is off unless the environment says where traces are
// sent. While it is off, nothing of it runs.
//
// It holds no global logger or tracer and does not decide what is logged or traced.
package telemetry
