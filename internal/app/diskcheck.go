package app

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/doctor"
)

// diskCheckLife is how long a result is used again, since each check writes and syncs a file.
const diskCheckLife = 10 * time.Second

// diskCheck checks whether the embedded parts can still write. It is not safe for concurrent use:
// Health runs one round of checks at a time.
type diskCheck struct {
	dir   string
	least uint64 // bytes that must be free
	now   func() time.Time

	asked time.Time
	err   error
}

// check returns KindUnavailable when the disk is full or takes no file.
func (r *diskCheck) check(context.Context) error {
	if now := r.now(); r.asked.IsZero() || now.Sub(r.asked) >= diskCheckLife {
		r.asked, r.err = now, doctor.CheckDisk(r.dir, r.least)
	}
	return r.err
}
