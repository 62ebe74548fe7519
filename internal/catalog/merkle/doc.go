// Package merkle has the tables of the log: what waits for its number, the leaves, the tree's
// hashes in tiles, and the checkpoints. Package evidence says what a leaf is, and what is written
// when.
//
// Whatever the sealer writes is written under its fencing token.
package merkle
