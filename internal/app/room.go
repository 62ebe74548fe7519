package app

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/disk"
)

// roomLife is how long a look at the disk is good for: each writes and syncs a file.
const roomLife = 10 * time.Second

// room looks whether the embedded parts can still write. Health asks one at a time.
type room struct {
	dir   string
	least uint64 // bytes that must be free
	now   func() time.Time

	asked time.Time
	err   error
}

// check is nil while there is room. Error: KindUnavailable.
func (r *room) check(context.Context) error {
	if now := r.now(); r.asked.IsZero() || now.Sub(r.asked) >= roomLife {
		r.asked, r.err = now, disk.Check(r.dir, r.least)
	}
	return r.err
}
