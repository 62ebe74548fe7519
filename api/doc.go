// Package api is the HTTP side: it finds the family of endpoints that a request belongs to and
// does for all of them what they have in common: request ids, access log, recovery, bounds on
// bodies, cross-origin rules, health and the OpenAPI documents.
//
// It knows no tenant and no token; each family answers for itself, its own 404 and 500 included.
package api
