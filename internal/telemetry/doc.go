// Package telemetry makes the logger that every part is handed, and traces.
//
// Requests and tasks travel in the context: In gives a line their ids, and
// spans begin below the one in it. Tracing is off unless the environment names
// where traces are sent; then nothing of it runs.
//
// It holds no global logger or tracer and decides nothing about what is worth
// a line or a span.
package telemetry
