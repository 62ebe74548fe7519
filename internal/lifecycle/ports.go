package lifecycle

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/objstore"
)

// Deletions lists what has to be deleted, takes reports of it, and checks the clock.
type Deletions interface {
	CheckClock(ctx context.Context, last time.Time, elapsed time.Duration) (clock.Reading, error)
	DoomUnused(ctx context.Context, limit int) (int, error)
	Doomed(ctx context.Context, limit int) ([]catalog.DoomedArchive, error)
	StartDeletion(ctx context.Context, d catalog.DoomedArchive) (bool, error)
	Deleted(ctx context.Context, objectKey string) error
	KeptObject(ctx context.Context, objectKey string) error
	DeletionRefused(ctx context.Context, objectKey string) error
	AwaitLocks(ctx context.Context) error
	StillLocked(ctx context.Context, objectKey string, until time.Time) error
}

// Served lists and takes reports of archives in the store, and of recordings that it lacked.
type Served interface {
	Unchecked(ctx context.Context, age time.Duration, limit int) ([]catalog.ServedArchive, error)
	Checked(ctx context.Context, objectKey string) error
	BrokenArchive(ctx context.Context, a catalog.PatrolArchive, reason, etag string) (bool, error)
	SaveVersion(ctx context.Context, objectKey, version string) error
	SuspectArchive(ctx context.Context, objectKey string) (bool, error)
	SaveLock(ctx context.Context, l catalog.ArchiveLock) error
	HeldLocks(ctx context.Context, within time.Duration, limit int) ([]catalog.HeldArchive, error)
	Rechecks(ctx context.Context, limit int) ([]catalog.Recheck, error)
	Rechecked(ctx context.Context, r catalog.Recheck, back bool) error
	RecheckLater(ctx context.Context, r catalog.Recheck) error
}

// Sweeps is what a Sweeper needs of the catalog.
type Sweeps interface {
	Deletions
	Served
}

// Recordings is the bucket of recordings, which is read. Errors as of package objstore.
type Recordings interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Stat(ctx context.Context, key string) (objstore.Info, error)
}

// Archives is the bucket of archives, from which is deleted. Errors as of package objstore.
type Archives interface {
	Abort(ctx context.Context, key, uploadID string) error
	AbortAll(ctx context.Context, key string) error
	StatVersion(ctx context.Context, key, version string) (objstore.Info, error)
	Exists(ctx context.Context, key string) (bool, error)
	Remove(ctx context.Context, key string) error
	Erase(ctx context.Context, key string) error
	Prolong(ctx context.Context, key, version string, want objstore.Lock) (objstore.Lock, error)
}
