// Package conversations reads what the exports show: conversations and messages in bulk, lists of
// conversations, and single conversations with their transcripts.
//
// It only reads. Package catalog makes and writes the tables.
package conversations

import "github.com/callvault/callvault/internal/db"

// Reader reads conversations and messages. It is safe for concurrent use.
type Reader struct {
	db *db.DB
}

// New makes a Reader of a catalog's database.
func New(d *db.DB) *Reader { return &Reader{d} }
