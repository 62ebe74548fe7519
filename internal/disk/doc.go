// Package disk says whether a directory can still be written to. It knows nothing of what is kept
// there.
package disk
