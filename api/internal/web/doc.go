// Package web is what the families of endpoints share: how a family is mounted, JSON with a fixed
// order of keys, request ids, strict queries, signed cursors, and downloads with ranges.
//
// It writes no error: each family has a shape of its own for those.
package web
