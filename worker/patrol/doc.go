// Package patrol re-reads every recording and every archive in the object store within a number of
// days, and reports what changed or went.
//
// A round of each kind goes through the catalog in the order of its keys. Its position and the
// claim to go on are in the catalog. So several workers share a round, and a restart continues it.
// The rate of reading follows from the bytes of the round. Memory is bounded: recordings are hashed
// as they come, and of an archive two pieces are kept.
//
// Only what concerns one object counts as a fault of it: no such key, other bytes, or an object
// that the store fails to give while it gives others. Every other error is an outage, after which
// the round goes on where it was.
package patrol
