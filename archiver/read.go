package archiver

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// reader reads segments until there are no more.
func (a *attempt) reader(ctx context.Context) error {
	for {
		select {
		case s, ok := <-a.gets:
			if !ok {
				return nil
			}
			if err := a.readSegment(ctx, s); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readSegment reads a segment, and after an entry's last one checks its CRC-32 and fills in its
// header.
func (a *attempt) readSegment(ctx context.Context, s *segment) error {
	f := s.entryRead
	if f.segments > 1 && s.index > 0 {
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
	a.writerDone(ctx, s.part)
	return a.queueHash(ctx, s)
}

// complete checks the CRC-32 of an entry whose last segment was read, and writes it into the
// header.
func (a *attempt) complete(ctx context.Context, s *segment) error {
	f := s.entryRead
	if f.segments > 1 {
		f.crcs[s.index] = s.crc
	}
	if f.left.Add(-1) > 0 {
		return nil
	}
	sum := s.crc
	if f.segments > 1 {
		sum = f.crcs[0]
		for i := 1; i < f.segments; i++ {
			sum = domain.CombineCRC32(sum, f.crcs[i], f.lengths[i])
		}
	}
	known := f.item.entry.CRC32
	f.item.crc, f.item.read = sum, known == nil || *known == sum
	if !f.item.read {
		a.void.Store(true) // its SHA-256 is told too, once it is computed
	}
	f.patchCRC(sum)
	for _, p := range f.patches {
		a.writerDone(ctx, p.part)
	}
	a.itemDone()
	return nil
}

// fetch reads a segment. A retry goes on where the body ended.
func (a *attempt) fetch(ctx context.Context, s *segment) error {
	e := s.entryRead.item.entry
	g := &get{attempt: a, segment: s, last: s.index == s.entryRead.segments-1}
	for try := 1; ; try++ {
		err := g.read(ctx)
		switch {
		case err == nil:
			s.crc = g.crc
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrVanished):
			return a.leaveOut(e, NotFound)
		case errors.Is(err, ErrUnreadable):
			return a.leaveOut(e, Unreadable)
		case errors.Is(err, ErrChanged):
			return a.leaveOut(e, "")
		case errors.Is(err, errSize):
			return a.leaveOut(e, SizeChanged)
		case try < a.cfg.Tries && !errors.Is(err, ErrRefused):
		case errors.Is(err, errShort) && !g.sized:
			// For this source only the end of the body shows the object's size.
			return a.leaveOut(e, SizeChanged)
		case e.Optional:
			return a.leaveOut(e, Unreadable)
		default:
			return fmt.Errorf("read %s at byte %d, try %d: %w", e.Key, s.from+int64(g.got), try, err)
		}
		a.retries.Add(1)
		if err := a.pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits before the next try.
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

// get is the reading of one segment in all its tries.
type get struct {
	*attempt
	segment *segment
	got     int
	crc     uint32
	etag    string
	sized   bool // the source gave the object's size
	last    bool // the segment is the end of the object
}

// read opens the rest of the segment and reads it. A body that gives nothing for Config.Stall is
// closed.
func (g *get) read(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	stall := time.AfterFunc(g.cfg.Stall, func() { cancel(errBodyStalled) })
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
	for g.got < len(g.segment.data) {
		rest := g.segment.data[g.got:]
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
		case g.got == len(g.segment.data):
		case err == io.EOF:
			return errShort
		case err != nil:
			return causeOr(ctx, err)
		}
	}
	if g.hasMore(body) && g.last {
		return errSize // the object has grown
	}
	return nil
}

// causeOr returns the cause of ctx's end, or err if ctx has not ended or err tells about the
// object.
func causeOr(ctx context.Context, err error) error {
	expected := errors.Is(err, ErrVanished) || errors.Is(err, ErrChanged) || errors.Is(err, ErrUnreadable)
	if cause := context.Cause(ctx); cause != nil && !expected {
		return cause
	}
	return err
}

// open opens the rest of the segment, pinned to the ETag that the entry's first segment got, and
// compares the object's size.
func (g *get) open(ctx context.Context) (io.ReadCloser, error) {
	s, f := g.segment, g.segment.entryRead
	e := f.item.entry
	if s.index > 0 {
		g.etag = f.item.etag
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

// pin lets the entry's other segments start, with this ETag.
func (g *get) pin() {
	f := g.segment.entryRead
	if f.segments == 1 {
		f.item.etag = g.etag
		return
	}
	select {
	case <-f.pinned: // by an earlier try, from a store without ETags
	default:
		f.item.etag = g.etag
		close(f.pinned)
	}
}

// hasMore reports whether a body has more bytes than were asked for. It reads to the body's end,
// so that its connection can be used again. All bytes of the segment are there already, so errors
// don't matter.
func (g *get) hasMore(body io.Reader) bool {
	var b [1]byte
	for range 4 { // a reader may return 0 bytes without an error a few times
		if n, err := body.Read(b[:]); n > 0 || err != nil {
			return n > 0
		}
	}
	return false
}
