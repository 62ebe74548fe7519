// Package deletions is the outbox of source audio that is to be deleted. The transaction that
// removes the rows of a recording puts its key here, with what is known of its bytes. Package
// lifecycle then deletes the bytes. While a key is here, no line and no upload may name it.
//
// It deletes no object, and asks no hold: that is done where the rows are removed.
package deletions
