package archiver

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/domain"
)

// build is what the attempts of one call of Build share.
type build struct {
	cfg     Config
	src     Source
	sink    Sink
	retries atomic.Int64
	buffers [][]byte // all that were made; each attempt uses them again
}

// part is a part of the ZIP in its buffer. It is uploaded when it has no writers left, and its
// buffer is free when it has no users left.
type part struct {
	number       int
	buf          []byte
	writers      atomic.Int32 // the ZIP's writer, segments to read, checksums to fill in
	users        atomic.Int32 // the upload, segments to hash
	longSegments []*segment   // in order; their CRC-32 is not computed a second time
}

// attempt makes the ZIP of a layout once. Its writer goes through the ZIP in order, writes headers
// and gives segments to readers, and waits when no buffer is free. Parts may be finished in any
// order.
//
// There is no deadlock: a part that the writer has passed waits only for its segments and for the
// CRC-32 of the entries whose headers it has. Of these entries only the one at the writer's
// position has segments that no reader has got yet. Its CRC field lies in two parts at most, so at
// least one of three buffers becomes free.
type attempt struct {
	*build
	layout *layout
	group  *errgroup.Group
	free   chan []byte
	gets   chan *segment
	hashq  chan *segment

	pending  atomic.Int64  // items to read plus items to hash
	allDone  chan struct{} // closed when pending is 0
	progress atomic.Int64  // grows when anything moves

	crcs       []uint32 // by part
	sumsDigest string

	void  atomic.Bool // a recording has another checksum: the others are still read, and nothing more is written
	mu    sync.Mutex
	found map[*Entry]finding
}

// finding is why an entry can't be in the ZIP.
type finding struct {
	reason Reason
	sum    *domain.SHA256 // of what was read; nil unless all was
}

// attempt makes the ZIP of a layout, or gives the recordings that have to be left out.
func (b *build) attempt(ctx context.Context, p *layout) (Result, map[*Entry]finding, error) {
	if err := b.sink.Begin(ctx, p.total, p.partSize, p.parts); err != nil {
		return Result{}, nil, fmt.Errorf("begin archive: %w", err)
	}
	a := &attempt{
		build: b, layout: p,
		free:    make(chan []byte, b.cfg.Buffers),
		gets:    make(chan *segment),
		hashq:   make(chan *segment, 2*b.cfg.Gets),
		allDone: make(chan struct{}),
		crcs:    make([]uint32, p.parts),
		found:   map[*Entry]finding{},
	}
	a.takeBuffers()
	a.pending.Store(2 * int64(len(p.items)))
	err := a.run(ctx)
	switch {
	case err == nil:
		return p.result(a.crcs, a.sumsDigest), nil, nil
	case errors.Is(err, errMissing):
		err = a.check(ctx)
		return Result{}, a.found, err
	default:
		return Result{}, nil, err
	}
}

// run starts the writer, the readers and the hashers, and waits for them.
func (a *attempt) run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	stop := a.watchProgress(ctx, cancel)
	defer stop()
	var gctx context.Context
	a.group, gctx = errgroup.WithContext(ctx)
	a.group.Go(func() error { return a.writeZIP(gctx) })
	for range min(a.cfg.Gets, len(a.layout.items)+a.layout.parts) {
		a.group.Go(func() error { return a.reader(gctx) })
	}
	for range min(runtime.GOMAXPROCS(0), 4) {
		a.group.Go(func() error { return a.hasher(gctx) })
	}
	err := a.group.Wait()
	if err != nil && ctx.Err() != nil { // cancelled from outside the group
		return context.Cause(ctx)
	}
	return err
}

// watchProgress ends the attempt with ErrStalled when there was no progress for Config.Idle and
// the time that the upload of a part may take.
func (a *attempt) watchProgress(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	timeout := a.cfg.Idle + time.Duration(a.layout.partSize/slowestSink)*time.Second
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		tick := time.NewTicker(timeout)
		defer tick.Stop()
		for last := a.progress.Load(); ; {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := a.progress.Load()
			if now == last {
				cancel(fmt.Errorf("%w for %v", ErrStalled, timeout))
				return
			}
			last = now
		}
	}()
	return func() { close(done); <-finished }
}

// acquire waits for the buffer of the part that starts at offset at.
func (a *attempt) acquire(ctx context.Context, at int64) (*part, error) {
	size := min(a.layout.partSize, a.layout.total-at)
	p := &part{number: int(at/a.layout.partSize) + 1}
	p.writers.Store(1)
	p.users.Store(1)
	select {
	case p.buf = <-a.free:
	default:
		if len(a.buffers) < a.cfg.Buffers {
			p.buf = make([]byte, min(a.layout.partSize, a.layout.total))
			a.buffers = append(a.buffers, p.buf)
			break
		}
		select {
		case p.buf = <-a.free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.buf = p.buf[:size]
	return p, nil
}

// takeBuffers reuses the buffers of the attempt before, unless they are too small: parts can grow
// a little when metadata.json lists missing files.
func (a *attempt) takeBuffers() {
	need := min(a.layout.partSize, a.layout.total)
	if len(a.buffers) > 0 && int64(len(a.buffers[0])) < need {
		a.buffers = nil
	}
	for _, b := range a.buffers {
		a.free <- b
	}
}

// writerDone counts a writer of p as done, and starts the upload after the last one.
func (a *attempt) writerDone(ctx context.Context, p *part) {
	if p.writers.Add(-1) == 0 {
		a.group.Go(func() error { return a.upload(ctx, p) })
	}
}

// userDone counts a user of p as done, and frees its buffer after the last one.
func (a *attempt) userDone(p *part) {
	if p.users.Add(-1) == 0 {
		a.free <- p.buf // does not block: its capacity is the number of buffers
	}
}

func (a *attempt) upload(ctx context.Context, p *part) error {
	if a.void.Load() {
		a.userDone(p)
		return nil
	}
	crc := p.checksum()
	if err := a.sink.Part(ctx, p.number, p.buf, crc); err != nil {
		return fmt.Errorf("upload part %d: %w", p.number, err)
	}
	a.crcs[p.number-1] = crc
	a.progress.Add(1)
	a.userDone(p)
	return nil
}

// itemDone counts an item as read, or as hashed.
func (a *attempt) itemDone() {
	if a.pending.Add(-1) == 0 {
		close(a.allDone)
	}
}

// leaveOut notes that an entry can't be in the ZIP, and gives the error that ends the attempt.
// check finds out the reason where it is empty.
func (a *attempt) leaveOut(e *Entry, reason Reason) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found[e] = finding{reason: reason}
	return errMissing
}

// otherBytes notes that the bytes of a recording have another checksum.
func (a *attempt) otherBytes(it *item) {
	sum := it.sum // a copy, because the layout is not kept
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found[it.entry] = finding{ChecksumMismatch, &sum}
}

// digestSums computes the checksums of SHA256SUMS itself.
func (a *attempt) digestSums() error {
	d := newDigest()
	if err := a.layout.writeSums(d); err != nil {
		return err
	}
	a.layout.sums.CRC = d.crc
	a.sumsDigest = hex.EncodeToString(d.sha.Sum(nil))
	return nil
}
