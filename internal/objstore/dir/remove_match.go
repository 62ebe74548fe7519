package dir

import (
	"context"
	"os"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// RemoveMatch deletes an object if it has the ETag that is meant; see objstore.Bucket.RemoveMatch.
// The object is locked from the comparison to the removal.
func (b *Bucket) RemoveMatch(ctx context.Context, key string, m objstore.Match) error {
	// Stat also makes a missing side file, which is not possible under the lock.
	if _, err := b.Stat(ctx, key); err != nil && domain.KindOf(err) != domain.KindNotFound {
		return err
	}
	return b.removeIf(ctx, key, func(held *os.File, in *info) error {
		stat, err := held.Stat()
		if err == nil && (in == nil || in.identity != identityOf(stat) || in.ETag != m.ETag) {
			err = domain.Errorf(domain.KindConflict, "other bytes were written there since")
		}
		return err
	})
}
