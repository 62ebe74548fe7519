// Package api is the HTTP server's handler. It finds the family of endpoints that owns a request's
// path. It does what all families share: request ids, access log, traces, recovery from panics,
// deadlines and limits of bodies, cross-origin rules, health and the OpenAPI documents.
//
// It knows no tenant and checks no credential. Each family writes its own errors, also 404 and 500.
package api
