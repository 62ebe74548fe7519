package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxStale is how many links of an hour in a row may be refused before a byte comes.
const maxStale = 3

// fetch brings the hours of one answered day.
type fetch struct {
	*pull
	folder *folder

	refreshing sync.Mutex // one question for fresh links at a time

	mu    sync.Mutex
	day   *Day
	round int // grows with each answer
}

// run fetches what is missing. Its error is about files of the folder, or ctx's.
func (f *fetch) run(ctx context.Context) (DayResult, error) {
	result := DayResult{Date: f.day.Date, Hours: make([]HourResult, len(f.day.Links))}
	var todo []int
	var bytes int64
	for i, l := range f.day.Links {
		h, done, err := f.look(ctx, l)
		if err != nil {
			return result, err
		}
		result.Hours[i] = h
		if !done {
			todo = append(todo, i)
			bytes += l.SizeBytes
		}
	}
	if len(todo) > 0 {
		f.progress.Plan(f.day.Date, len(todo), bytes)
	}
	var running sync.WaitGroup
	for _, i := range todo {
		running.Go(func() { result.Hours[i] = f.hour(ctx, i) })
	}
	running.Wait()
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	result.settle()
	return result, nil
}

// look says what is to be done about an hour, if anything.
func (f *fetch) look(ctx context.Context, l Link) (h HourResult, done bool, err error) {
	h = HourResult{Hour: l.Hour, SizeBytes: l.SizeBytes, Revision: l.Revision, Rebuilding: l.Rebuilding, Missing: l.MissingFileCount}
	switch l.Status {
	case StatusAvailable:
	case StatusNoData:
		h.State = HourNoData
		return h, true, nil
	case StatusPending:
		h.State = HourPending
		return h, true, nil
	case StatusFailed:
		h.State = HourFailed
		return h, true, nil
	default:
		h.State, h.Err = HourError, fmt.Errorf("the server says %.30q, which this version does not know", l.Status)
		return h, true, nil
	}
	path := f.folder.path(l.Hour + ".zip")
	there, err := f.folder.has(ctx, l)
	if err != nil || !there {
		return h, false, err
	}
	h.State, h.Path = HourPresent, path
	return h, true, removePart(path + ".part")
}

// link is the hour's latest link.
func (f *fetch) link(i int) (Link, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.day.Links[i], f.round
}

// refresh asks for fresh links, unless somebody did since the round of the stale one.
func (f *fetch) refresh(ctx context.Context, stale int) error {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	f.mu.Lock()
	date, fresh := f.day.Date, f.round > stale
	f.mu.Unlock()
	if fresh {
		return nil
	}
	d, err := f.ask(ctx, date)
	if err != nil {
		return err
	}
	if err := f.folder.answered(d); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.day = d
	f.round++
	return nil
}

// hour downloads one hour, with fresh links as far as they help.
func (f *fetch) hour(ctx context.Context, i int) HourResult {
	release, err := f.slot(ctx)
	defer func() { release() }()
	for stale := 0; ; {
		l, round := f.link(i)
		h, done, looked := f.look(ctx, l)
		if err = errors.Join(err, looked); err != nil || done {
			return h.failed(err)
		}
		progressed, downloadErr := f.client.download(ctx, f.folder.path(l.Hour+".zip"), f.folder.dayOf(), l, f.progress)
		var old *staleError
		var limited *LimitedError
		switch err = downloadErr; {
		case err == nil:
			h.State, h.Path = HourDownloaded, f.folder.path(l.Hour+".zip")
			return h.failed(f.folder.fetched(l))
		case errors.As(err, &old):
			if stale++; progressed {
				stale = 1
			}
			if stale > maxStale {
				return h.failed(err)
			}
			err = f.refresh(ctx, round)
		case errors.As(err, &limited):
			release() // others may go on meanwhile
			if err = f.sitOut(ctx, l.Hour+".zip: the server's limit of downloads is reached", err); err == nil {
				release, err = f.slot(ctx)
			} else {
				release = func() {}
			}
		default:
			return h.failed(err)
		}
	}
}

// slot waits for the right to download; release gives it back.
func (f *fetch) slot(ctx context.Context) (release func(), err error) {
	select {
	case f.slots <- struct{}{}:
		return func() { <-f.slots }, nil
	case <-ctx.Done():
		return func() {}, ctx.Err()
	}
}

// failed adds why an hour could not be fetched, nil for nothing.
func (h HourResult) failed(err error) HourResult {
	var refused *RefusedError
	var limited *LimitedError
	switch {
	case err == nil:
		return h
	case errors.As(err, &limited):
		h.State = HourLimited
	case errors.As(err, &refused):
		h.State = HourRefused
	default:
		h.State = HourError
	}
	h.Err = err
	return h
}
