package outbox

import "github.com/callvault/callvault/internal/db"

// Outbox holds endpoints, events and deliveries.
type Outbox struct{ db *db.DB }

// New gives the outbox of a database.
func New(d *db.DB) *Outbox { return &Outbox{d} }
