package app

import (
	"context"
	"errors"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// storeRefuses asks the object store once, at the start of a role. A store that is away may come
// back, and readiness says so meanwhile; what it refuses for good nobody should wait for.
func (p *Parts) storeRefuses(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := p.Store.Check(ctx); domain.KindOf(err) == domain.KindRefused {
		return advised(err)
	}
	return nil
}

// advised adds what to do about an error of the object store to what is shown of it.
func advised(err error) error {
	var e *domain.Error
	if advice := objstore.Advice(err); advice != "" && errors.As(err, &e) {
		return domain.Wrap(e.Kind, e.Cause, "%s; %s", e.Msg, advice)
	}
	return err
}
