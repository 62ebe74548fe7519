package web

import (
	"context"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Stater looks objects up. Errors: KindNotFound, KindInvalid for a key that the store can't hold, and as
// of package objstore.
type Stater interface {
	Stat(ctx context.Context, key string) (objstore.Info, error)
}

// Recording looks up a conversation's own recording, by the object key that its line names; "" is none.
// All answers about recordings use it, so that they agree. there is also false while the object is not
// in the store, or its bytes can't be read. Error: the store's, when that can't be found out.
func Recording(ctx context.Context, store Stater, key string) (info objstore.Info, there bool, err error) {
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
