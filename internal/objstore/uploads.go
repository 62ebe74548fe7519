package objstore

import (
	"context"

	"github.com/callvault/callvault/internal/domain"
)

// AbortAll ends every unfinished upload of exactly this key, also those whose
// id nobody remembers. Stores that forget or can't tell their uploads are left
// to their own rules.
func (b *Bucket) AbortAll(ctx context.Context, key string) error {
	if err := b.checkKey(key); err != nil {
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
				return b.check(ctx)
			}
			return err
		}
		for _, upload := range page.Uploads {
			if upload.Key != key { // the prefix of another key
				continue
			}
			if err := b.Abort(ctx, key, upload.UploadID); err != nil {
				return err
			}
		}
		// A page that does not move on would be asked for without end.
		if !page.IsTruncated || page.NextKeyMarker == markKey && page.NextUploadIDMarker == markID {
			return nil
		}
		markKey, markID = page.NextKeyMarker, page.NextUploadIDMarker
	}
}
