package archiver

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// check looks at every entry that the failed attempt has not read, so that one
// restart leaves out all that are missing, and finds the reason for those that
// changed under the reader.
func (a *attempt) check(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.cfg.Gets)
	for i := range a.plan.items {
		it := &a.plan.items[i]
		a.mu.Lock()
		reason, found := a.found[it.entry]
		a.mu.Unlock()
		if it.read || found && reason != "" {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return a.checkEntry(ctx, it.entry, found) })
	}
	return group.Wait()
}

// checkEntry opens one entry and closes it again. An entry that changed while
// it was read is missing even if its size is right now: which bytes were meant
// can't be known.
func (a *attempt) checkEntry(ctx context.Context, e *Entry, changed bool) error {
	for try := 1; ; try++ {
		sized, err := a.look(ctx, e)
		if try == a.cfg.Tries && errors.Is(err, errShort) && !sized {
			err = errSize // nothing but the end of the body tells it
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrVanished):
			a.miss(e, NotFound) //nolint:errcheck // says only what is known here
			return nil
		case errors.Is(err, ErrUnreadable):
			a.miss(e, Unreadable) //nolint:errcheck // as above
			return nil
		case errors.Is(err, ErrChanged), errors.Is(err, errSize):
			a.miss(e, SizeChanged) //nolint:errcheck // as above
			return nil
		case err == nil && changed:
			a.miss(e, ChecksumMismatch) //nolint:errcheck // as above
			return nil
		case err == nil:
			return nil
		case try == a.cfg.Tries, errors.Is(err, ErrRefused):
			return fmt.Errorf("check %s, try %d: %w", e.Key, try, err)
		}
		a.retries.Add(1)
		if err := a.pause(ctx, try); err != nil {
			return err
		}
	}
}

// look reads an entry's first byte, which is the cheapest way to learn the
// object's size from a store and keep the connection. sized says whether the
// source told it.
func (a *attempt) look(ctx context.Context, e *Entry) (sized bool, err error) {
	f := &flight{item: &item{entry: e}}
	f.split(1)
	s := &span{flight: f, data: make([]byte, min(1, e.Size))}
	g := &get{attempt: a, span: s, last: e.Size <= 1}
	err = g.read(ctx)
	return g.sized, err
}
