package web

import (
	"context"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Stats looks objects up. Errors: KindNotFound, KindInvalid for a key that the store can't hold, and as
// of package objstore.
type Stats interface {
	Stat(ctx context.Context, key string) (objstore.Info, error)
}

// Recording looks a conversation's own recording up, which is the object that its line names, "" for
// none. All who tell of it ask here, so that they agree. there is false also while the object is not
// in the store, or its bytes can't be had. Error: the store's, when that can't be found out.
func Recording(ctx context.Context, store Stats, key string) (info objstore.Info, there bool, err error) {
	if key == "" {
		return info, false, nil
	}
	info, err = store.Stat(ctx, key)
	switch domain.KindOf(err) {
	case "":
		return info, !info.Cold, nil
	case domain.KindNotFound, domain.KindInvalid, domain.KindUnreadable:
		return info, false, nil
	}
	return info, false, err
}
