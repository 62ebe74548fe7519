// Package evidence makes the log: one append-only Merkle tree (RFC 6962) over all lines of the
// audit log and over the seals of days. It says what a leaf is, gives leaves their numbers, signs
// checkpoints, proves, and recomputes everything.
//
// It has no SQL: the tables are package merkle's. The tree, its tiles, checkpoints and proofs are
// those of c2sp.org (tlog-tiles, tlog-checkpoint, signed-note, tlog-proof), so that tools of others
// can check them.
package evidence
