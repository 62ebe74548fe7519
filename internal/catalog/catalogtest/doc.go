// Package catalogtest proves that a catalog behaves the same on every database. Its suites are
// given a way to open an empty, migrated catalog and use nothing but its exported methods.
package catalogtest
