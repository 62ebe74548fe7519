package app

import (
	"context"
	"errors"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// checkStore asks the object store once, at the start of a role. It returns an error when the store
// refuses for good. A store that does not answer may come back; readiness reports it meanwhile.
func (p *Parts) checkStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, check := range []func(context.Context) error{p.Recordings.Check, p.Archives.Check} {
		if err := check(ctx); domain.KindOf(err) == domain.KindRefused {
			return withAdvice(err)
		}
	}
	return nil
}

// withAdvice adds to the message of an object store's error what to do about it.
func withAdvice(err error) error {
	var e *domain.Error
	if advice := objstore.Advice(err); advice != "" && errors.As(err, &e) {
		return domain.Wrap(e.Kind, e.Cause, "%s; %s", e.Msg, advice)
	}
	return err
}
