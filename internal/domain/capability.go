package domain

import "time"

// Capability is one thing that callvault tried on a bucket.
type Capability struct {
	Name  string
	Has   bool
	Saw   string    // what happened instead; "" when the bucket can do it
	Tried time.Time // set by the catalog, which remembers it
}
