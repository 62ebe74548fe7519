// Package recordings is the family of daily recordings: a tenant requests a day and gets links to
// its 24 hours, and each link gives the ZIP of an hour.
//
// The order of checks is documented, so it must not change. The catalog decides what is counted and
// what a link gives; the object store has the bytes.
package recordings
