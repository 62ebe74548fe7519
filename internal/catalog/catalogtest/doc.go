// Package catalogtest tests that a catalog behaves the same on every database. Each suite gets a
// function that opens an empty, migrated catalog, and uses only exported methods.
package catalogtest
