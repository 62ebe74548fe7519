// Package demo holds a sample tenant's day: nine telephone conversations at a bank, spoken by a
// speech synthesiser and kept as Opus clips, and what an ingest of them looks like.
//
// It stores nothing itself: it makes ingest lines and audio bytes for any day.
package demo
