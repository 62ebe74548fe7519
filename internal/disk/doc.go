// Package disk says whether a directory can still be written to. It does not know what is stored
// there.
package disk
