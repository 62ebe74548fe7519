// Package erased knows which conversations and object keys of a tenant were erased. It keeps keyed
// hashes of their ids, so that lines which come again are recognised, and nobody who reads the table
// learns what was erased.
//
// It is below the catalog, and does not decide what is erased.
package erased
