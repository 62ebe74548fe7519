package holds

import "github.com/callvault/callvault/internal/db"

// Holds are the legal holds of tenants.
type Holds struct{ db *db.DB }

// New gives the holds of a database.
func New(d *db.DB) *Holds { return &Holds{d} }
