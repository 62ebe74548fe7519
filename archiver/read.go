package archiver

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/callvault/callvault/internal/crc"
)

// reader reads spans until there are no more.
func (a *attempt) reader(ctx context.Context) error {
	for {
		select {
		case s, ok := <-a.gets:
			if !ok {
				return nil
			}
			if err := a.readSpan(ctx, s); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readSpan fills a span and does what its completion allows.
func (a *attempt) readSpan(ctx context.Context, s *span) error {
	f := s.flight
	if f.spans > 1 && s.index > 0 {
		select {
		case <-f.pinned:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := a.fetch(ctx, s); err != nil {
		return err
	}
	if err := a.complete(ctx, s); err != nil {
		return err
	}
	a.filled(ctx, s.part)
	return a.queueHash(ctx, s)
}

// complete combines and checks the CRC-32 after an entry's last span.
func (a *attempt) complete(ctx context.Context, s *span) error {
	f := s.flight
	if f.spans > 1 {
		f.crcs[s.index] = s.crc
	}
	if f.left.Add(-1) > 0 {
		return nil
	}
	sum := s.crc
	if f.spans > 1 {
		sum = f.crcs[0]
		for i := 1; i < f.spans; i++ {
			sum = crc.Combine(sum, f.crcs[i], f.lengths[i])
		}
	}
	if known := f.item.entry.CRC32; known != nil && *known != sum {
		return a.miss(f.item.entry, ChecksumMismatch)
	}
	f.item.crc, f.item.read = sum, true
	f.patchCRC(sum)
	for _, p := range f.patches {
		a.filled(ctx, p.part)
	}
	a.settle()
	return nil
}

// fetch reads a span, resuming where a body broke off.
func (a *attempt) fetch(ctx context.Context, s *span) error {
	e := s.flight.item.entry
	g := &get{attempt: a, span: s, last: s.index == s.flight.spans-1}
	for try := 1; ; try++ {
		err := g.read(ctx)
		switch {
		case err == nil:
			s.crc = g.crc
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrVanished):
			return a.miss(e, NotFound)
		case errors.Is(err, ErrUnreadable):
			return a.miss(e, Unreadable)
		case errors.Is(err, ErrChanged):
			return a.miss(e, "")
		case errors.Is(err, errSize):
			return a.miss(e, SizeChanged)
		case try < a.cfg.Tries && !errors.Is(err, ErrRefused):
		case errors.Is(err, errShort) && !g.sized:
			// Nothing but the end of the body tells this object's size.
			return a.miss(e, SizeChanged)
		default:
			return fmt.Errorf("read %s at byte %d, try %d: %w", e.Key, s.from+int64(g.got), try, err)
		}
		a.retries.Add(1)
		if err := a.pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits before another try.
func (a *attempt) pause(ctx context.Context, try int) error {
	wait := time.NewTimer(min(a.cfg.Backoff<<min(try-1, 16), maxBackoff))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get is the reading of one span over all its tries.
type get struct {
	*attempt
	span  *span
	got   int
	crc   uint32
	etag  string
	sized bool // the source said how large the object is
	last  bool // nothing of the object comes after this span
}

// read opens what is missing of the span and reads it. A body that gives
// nothing for Config.Stall is cut.
func (g *get) read(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	stall := time.AfterFunc(g.cfg.Stall, func() { cancel(errStalledOn) })
	defer stall.Stop()

	body, err := g.open(ctx)
	if err != nil {
		return causeOr(ctx, err)
	}
	release := context.AfterFunc(ctx, func() { body.Close() })
	defer func() {
		if release() {
			body.Close()
		}
	}()
	for g.got < len(g.span.data) {
		rest := g.span.data[g.got:]
		n, err := body.Read(rest)
		if n < 0 || n > len(rest) {
			return errBody
		}
		if n > 0 {
			g.crc = crc32.Update(g.crc, crc32.IEEETable, rest[:n])
			g.got += n
			g.progress.Add(1)
			stall.Reset(g.cfg.Stall)
		}
		switch {
		case g.got == len(g.span.data):
		case err == io.EOF:
			return errShort
		case err != nil:
			return causeOr(ctx, err)
		}
	}
	if g.surplus(body) && g.last {
		return errSize // the object has grown
	}
	return nil
}

// causeOr returns why ctx was cancelled, or err if it was not.
func causeOr(ctx context.Context, err error) error {
	expected := errors.Is(err, ErrVanished) || errors.Is(err, ErrChanged) || errors.Is(err, ErrUnreadable)
	if cause := context.Cause(ctx); cause != nil && !expected {
		return cause
	}
	return err
}

// open opens the rest of the span, pinned to the entry's first ETag, and
// compares the object's size.
func (g *get) open(ctx context.Context) (io.ReadCloser, error) {
	s, f := g.span, g.span.flight
	e := f.item.entry
	if s.index > 0 {
		g.etag = f.etag
	}
	obj, err := g.src(ctx, *e, s.from+int64(g.got), int64(len(s.data)-g.got), g.etag)
	if err != nil {
		return nil, err
	}
	if obj.Body == nil {
		return nil, errBody
	}
	g.sized = obj.Size >= 0
	switch {
	case g.sized && obj.Size != e.Size:
		err = errSize
	case g.etag != "" && obj.ETag != "" && obj.ETag != g.etag:
		err = ErrChanged
	}
	if err != nil {
		obj.Body.Close()
		return nil, err
	}
	if s.index == 0 && g.etag == "" {
		g.etag = obj.ETag
		g.pin()
	}
	return obj.Body, nil
}

// pin lets the entry's other spans start.
func (g *get) pin() {
	f := g.span.flight
	if f.spans == 1 {
		return
	}
	select {
	case <-f.pinned: // by an earlier try, of a store without ETags
	default:
		f.etag = g.etag
		close(f.pinned)
	}
}

// surplus reads to the end of a body that should have none left, so that its
// connection can be used again, and reports whether there was more. All bytes
// asked for are here already, so errors don't matter.
func (g *get) surplus(body io.Reader) bool {
	var b [1]byte
	for range 4 { // a reader may give nothing without an error a few times
		if n, err := body.Read(b[:]); n > 0 || err != nil {
			return n > 0
		}
	}
	return false
}
