package worker

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Claims claims hours and gives them back. Errors: KindLost when the claim is lost,
// KindUnavailable.
type Claims interface {
	Claim(ctx context.Context, key domain.HourKey, worker string) (catalog.Claim, bool, error)
	Renew(ctx context.Context, c catalog.Claim) error
	Release(ctx context.Context, c catalog.Claim) error
	Fail(ctx context.Context, c catalog.Claim, f catalog.Failure) error
	Undispatched(ctx context.Context, key domain.HourKey, dispatch int64) error
}

// Inputs gives the recordings of an hour.
type Inputs interface {
	BuildInput(ctx context.Context, c catalog.Claim) (catalog.BuildInput, error)
	SaveSizes(ctx context.Context, c catalog.Claim, sizes []catalog.ObjectSize) error
}

// Outputs publishes archives. Errors: KindLost, KindUnavailable. After KindUnavailable Published
// says whether the archive is published all the same.
type Outputs interface {
	StartArchive(ctx context.Context, c catalog.Claim) error
	SetUpload(ctx context.Context, c catalog.Claim, uploadID string) error
	LearnSums(ctx context.Context, tenant string, day domain.Day, origin string, sums []catalog.LearntSum) error
	Commit(ctx context.Context, c catalog.Claim, b catalog.BuildResult) error
	CommitEmpty(ctx context.Context, c catalog.Claim, wanted int64) error
	Published(ctx context.Context, c catalog.Claim) (bool, error)
}

// Builds is what a Builder needs of the catalog.
type Builds interface {
	Claims
	Inputs
	Outputs
	Lease() time.Duration
}

// Sweeper deletes archives that are not needed any more, while the worker builds.
type Sweeper interface {
	Run(ctx context.Context)
	Wake() // makes the running sweeper sweep now
}

// Recordings is the bucket of recordings, which is read. Errors as of package objstore.
type Recordings interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Stat(ctx context.Context, key string) (objstore.Info, error)
}

// Uploads writes archives in parts.
type Uploads interface {
	NewUpload(ctx context.Context, key string, opts objstore.UploadOptions) (string, error)
	PutPart(ctx context.Context, key, uploadID string, n int, data []byte, sum uint32) (objstore.Part, error)
	Complete(ctx context.Context, key, uploadID string, parts []objstore.Part, opts objstore.CompleteOptions) (string, error)
	Abort(ctx context.Context, key, uploadID string) error
	AbortAll(ctx context.Context, key string) error
}

// Objects are archives as a whole.
type Objects interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error)
	Stat(ctx context.Context, key string) (objstore.Info, error)
	Sync(key string) error
}

// Archives is the bucket of archives, which is written.
type Archives interface {
	Uploads
	Objects
}
