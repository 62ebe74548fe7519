// Package catalogtest tests that a catalog behaves the same on every database. Each suite gets a
// function that opens an empty, migrated catalog. Suites use only exported methods, except that
// they set the clock in its table.
package catalogtest
