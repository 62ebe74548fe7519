package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxRefusals is how many links of an hour the server may refuse in a row while no byte arrives.
const maxRefusals = 3

// fetch downloads the hours of one day, once the server has answered with its links.
type fetch struct {
	*pull
	folder *folder

	refreshing sync.Mutex // one request for new links at a time

	mu    sync.Mutex
	day   *Day
	round int // counts the answers
}

// run downloads what is missing. Its error is about files of the folder, or that of ctx.
func (f *fetch) run(ctx context.Context) (DayResult, error) {
	result := DayResult{Date: f.day.Date, Hours: make([]HourResult, len(f.day.Links))}
	var todo []int
	var bytes int64
	for i, l := range f.day.Links {
		h, done, err := f.check(ctx, l)
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
	result.setState()
	return result, nil
}

// check finds out whether there is anything to download for an hour; done is true if not.
func (f *fetch) check(ctx context.Context, l Link) (h HourResult, done bool, err error) {
	h = HourResult{Hour: l.Hour, SizeBytes: l.SizeBytes, Revision: l.Revision, Rebuilding: l.Rebuilding, Missing: l.MissingFileCount}
	switch l.Status {
	case StatusAvailable:
	case StatusNoData, StatusPending, StatusFailed:
		h.State = HourState(l.Status) // both have the same words
		if l.Status != StatusNoData {
			return h, true, nil
		}
		if _, err := f.folder.root.Lstat(l.Hour + ".zip"); err == nil {
			f.progress.Note(fmt.Sprintf("%s/%s.zip: The server has no recordings of the hour any more: they were erased or corrected. Delete the file, or keep it elsewhere.", f.folder.date, l.Hour))
		}
		return h, true, nil
	default:
		h.State, h.Err = HourError, fmt.Errorf("the server says %.30q, which this version does not know", l.Status)
		return h, true, nil
	}
	there, err := f.folder.find(ctx, l)
	if there.damaged != nil {
		f.progress.Note(fmt.Sprintf("%s/%s.zip: %s Downloading it again.", f.folder.date, l.Hour, there.damaged))
	}
	if err == nil && there.present && !there.noted { // after a kill for example
		err = f.folder.setFile(l)
	}
	if err != nil || !there.present {
		return h, false, err
	}
	h.State, h.Path, h.Checked = HourPresent, f.folder.path(l.Hour+".zip"), there.checked
	return h, true, removePart(f.folder.root, l.Hour+".zip.part")
}

// link returns the hour's latest link, and the round in which it came.
func (f *fetch) link(i int) (Link, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.day.Links[i], f.round
}

// refresh gets new links, unless another download has done so since the round of the stale link.
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
	if err := f.folder.setDay(d); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.day = d
	f.round++
	return nil
}

// hour downloads one hour. It gets new links when the server refuses one.
func (f *fetch) hour(ctx context.Context, i int) HourResult {
	release, err := f.slot(ctx)
	defer func() { release() }()
	for stale, waits := 0, 0; ; {
		l, round := f.link(i)
		h, done, looked := f.check(ctx, l)
		if err = errors.Join(err, looked); err != nil || done {
			return h.failed(err)
		}
		progressed, downloadErr := f.download(ctx, f.folder, l)
		var old *staleError
		var limited *LimitedError
		switch err = downloadErr; {
		case err == nil:
			h.State, h.Path, h.Checked = HourDownloaded, f.folder.path(l.Hour+".zip"), true
			return h.failed(f.folder.setFile(l))
		case errors.As(err, &old):
			if stale++; progressed {
				stale = 1
			}
			if stale > maxRefusals {
				return h.failed(err)
			}
			err = f.refresh(ctx, round)
		case errors.As(err, &limited):
			release() // so that other downloads can run meanwhile
			waits++
			if err = f.waitForLimit(ctx, l.Hour+".zip: the server's limit of downloads is reached", err, waits); err == nil {
				release, err = f.slot(ctx)
			}
		default:
			return h.failed(err)
		}
	}
}

// slot waits until one more download may run. release must be called at the download's end, and may
// be called again.
func (f *fetch) slot(ctx context.Context) (release func(), err error) {
	select {
	case f.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-f.slots }), nil
	case <-ctx.Done():
		return func() {}, ctx.Err()
	}
}

// failed returns h with the error and its state; with err nil it returns h as it is.
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
