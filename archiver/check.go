package archiver

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// check opens every entry that the failed attempt has not read, so that one restart leaves out all
// that are missing. It also finds the reason for entries that changed while they were read.
func (a *attempt) check(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.cfg.Gets)
	for i := range a.layout.items {
		it := &a.layout.items[i]
		a.mu.Lock()
		known, found := a.found[it.entry]
		a.mu.Unlock()
		if it.read || found && known.reason != "" {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := a.checkEntry(ctx, it.entry, found); !errors.Is(err, errMissing) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}

// checkEntry opens one entry and closes it again. Its error is errMissing when the entry has to be
// left out. An entry that changed while it was read is missing even when its size is right: nobody
// knows which bytes were meant.
func (a *attempt) checkEntry(ctx context.Context, e *Entry, changed bool) error {
	for try := 1; ; try++ {
		sized, err := a.probe(ctx, e)
		if try == a.cfg.Tries && errors.Is(err, errShort) && !sized {
			err = errSize // for this source only the end of the body shows the size
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrVanished):
			return a.leaveOut(e, NotFound)
		case errors.Is(err, ErrUnreadable):
			return a.leaveOut(e, Unreadable)
		case errors.Is(err, ErrChanged), errors.Is(err, errSize):
			return a.leaveOut(e, SizeChanged)
		case err == nil && changed:
			return a.leaveOut(e, ChecksumMismatch)
		case err == nil:
			return nil
		case e.Optional && (try == a.cfg.Tries || errors.Is(err, ErrRefused)):
			return a.leaveOut(e, Unreadable)
		case try == a.cfg.Tries, errors.Is(err, ErrRefused):
			return fmt.Errorf("check %s, try %d: %w", e.Key, try, err)
		}
		a.retries.Add(1)
		if err := a.pause(ctx, try); err != nil {
			return err
		}
	}
}

// probe reads an entry's first byte, which is the cheapest way to learn the object's size and keep
// the connection. sized says whether the source gave the size.
func (a *attempt) probe(ctx context.Context, e *Entry) (sized bool, err error) {
	f := &entryRead{item: &item{entry: e}}
	f.split(1)
	s := &segment{entryRead: f, data: make([]byte, min(1, e.Size))}
	g := &get{attempt: a, segment: s, last: e.Size <= 1}
	err = g.read(ctx)
	return g.sized, err
}
