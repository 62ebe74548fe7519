// Package web is what the families of endpoints have in common: one way to be mounted, JSON with a
// fixed key order, request ids, strict queries, sealed cursors, and bytes with ranges.
//
// It knows no family's error shape: each family writes its own.
package web
