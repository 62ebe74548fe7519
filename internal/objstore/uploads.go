package objstore

import (
	"context"

	"github.com/callvault/callvault/internal/domain"
)

// AbortAll aborts every unfinished upload of exactly this key, also those whose id is unknown. It
// does nothing in stores that cannot list uploads.
func (b *Bucket) AbortAll(ctx context.Context, key string) error {
	if err := b.CheckKey(key); err != nil {
		return err
	}
	var markKey, markID string
	for {
		page, err := b.store.core.ListMultipartUploads(ctx, b.name, key, markKey, markID, "", 1000)
		if unsupported(err) {
			return nil
		}
		if err != nil {
			err = b.failure(ctx, "list the uploads of", key, err)
			if domain.KindOf(err) == domain.KindNotFound {
				return b.Check(ctx)
			}
			return err
		}
		for _, upload := range page.Uploads {
			if upload.Key != key { // a longer key
				continue
			}
			if err := b.Abort(ctx, key, upload.UploadID); err != nil {
				return err
			}
		}
		// A store that repeats a page would otherwise be asked without end.
		if !page.IsTruncated || page.NextKeyMarker == markKey && page.NextUploadIDMarker == markID {
			return nil
		}
		markKey, markID = page.NextKeyMarker, page.NextUploadIDMarker
	}
}
