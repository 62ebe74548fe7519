package patrol

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

const (
	// tries is how often an object is read before its failure counts as a fault of this object.
	tries = 3
	// maxProbe is how long other objects are tried while the store does not answer.
	maxProbe = 30 * time.Second
)

// version reads one version of an object; the newest where it is "".
type version struct {
	Bucket
	key, id string
}

// Get is [Bucket.Get] of the version.
func (v version) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	opts.Version = v.id
	return v.Bucket.Get(ctx, key, opts)
}

// insist calls read, and again where the store gives one of the other objects and not this one.
// The error of the last try is unreadable then, because a damaged disk looks like an outage of
// single objects, and one of them must not stop the round. Where the store gives none of the
// others, the error is an outage. A known fault is read once.
func (p *Patrol) insist(ctx context.Context, known bool, others func() []version, read func() error) error {
	for try := 1; ; try++ {
		err := read()
		if !mayBeOutage(ctx, err) || !gives(ctx, others()) {
			return err
		}
		if known || try == tries {
			return domain.Wrap(domain.KindUnreadable, err, "the object store gives other objects, and not this one")
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(p.cfg.Retry):
		}
	}
}

// mayBeOutage says whether an error may concern all objects.
func mayBeOutage(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	switch domain.KindOf(err) {
	case domain.KindNotFound, domain.KindInvalid, domain.KindUnreadable:
		return false
	}
	return true
}

// gives says whether the store gives one of these objects.
func gives(ctx context.Context, some []version) bool {
	ctx, cancel := context.WithTimeout(ctx, maxProbe)
	defer cancel()
	for _, v := range some {
		if objstore.Readable(ctx, v, v.key) == nil {
			return true
		}
	}
	return false
}
