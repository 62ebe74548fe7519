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
)

// build is what the attempts of one Build share.
type build struct {
	cfg     Config
	src     Source
	sink    Sink
	retries atomic.Int64
	buffers [][]byte // all that were made; attempts use them one after the other
}

// part is a part of the ZIP on its way through a buffer.
type part struct {
	number int
	buf    []byte
	fill   atomic.Int32 // writers left: the layout, ranges, checksums to patch; then it is uploaded
	hold   atomic.Int32 // users left: the upload, ranges to hash; then its buffer is free
	long   []*span      // ranges whose CRC-32 is not computed a second time, in order
}

// attempt is one pass over a plan. The layout runs ahead in the order of the
// ZIP, handing ranges of parts to readers, and stops when no buffer is free.
// Parts may be finished in any order.
//
// No order of events blocks for ever: a part that is laid out waits only for
// its ranges and for the CRC-32 of entries whose header it holds. The only such
// entry that is not wholly laid out is the one that the layout stands in, and
// its CRC field touches two parts at most, so one of three buffers always
// comes free.
type attempt struct {
	*build
	plan  *plan
	group *errgroup.Group
	free  chan []byte
	gets  chan *span
	hashq chan *span

	pending  atomic.Int64  // items to read and items to hash
	settled  chan struct{} // closed when there are none
	progress atomic.Int64  // grows when anything moves

	crcs       []uint32 // by part
	sumsDigest string

	mu    sync.Mutex
	found map[*Entry]Reason
}

// attempt makes the ZIP of a plan, or finds recordings that it has to do
// without.
func (b *build) attempt(ctx context.Context, p *plan) (Result, map[*Entry]Reason, error) {
	if err := b.sink.Begin(ctx, p.total, p.partSize, p.parts); err != nil {
		return Result{}, nil, fmt.Errorf("begin archive: %w", err)
	}
	a := &attempt{
		build: b, plan: p,
		free:    make(chan []byte, b.cfg.Buffers),
		gets:    make(chan *span),
		hashq:   make(chan *span, 2*b.cfg.Gets),
		settled: make(chan struct{}),
		crcs:    make([]uint32, p.parts),
		found:   map[*Entry]Reason{},
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

// run starts the layout, the readers and the hashers and waits for all.
func (a *attempt) run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	stop := a.watch(ctx, cancel)
	defer stop()
	var gctx context.Context
	a.group, gctx = errgroup.WithContext(ctx)
	a.group.Go(func() error { return a.layOut(gctx) })
	for range min(a.cfg.Gets, len(a.plan.items)+a.plan.parts) {
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

// watch ends the attempt with ErrStalled when nothing moved for Config.Idle,
// with some time on top in which a part may be on its way to the sink.
func (a *attempt) watch(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	patience := a.cfg.Idle + time.Duration(a.plan.partSize/slowestSink)*time.Second
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		tick := time.NewTicker(patience)
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
				cancel(fmt.Errorf("%w for %v", ErrStalled, patience))
				return
			}
			last = now
		}
	}()
	return func() { close(done); <-finished }
}

// acquire waits for the buffer of the part that starts at offset at.
func (a *attempt) acquire(ctx context.Context, at int64) (*part, error) {
	size := min(a.plan.partSize, a.plan.total-at)
	p := &part{number: int(at/a.plan.partSize) + 1}
	p.fill.Store(1)
	p.hold.Store(1)
	select {
	case p.buf = <-a.free:
	default:
		if len(a.buffers) < a.cfg.Buffers {
			p.buf = make([]byte, min(a.plan.partSize, a.plan.total))
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

// takeBuffers frees the buffers of the attempt before, or forgets them if they
// are too small: parts can grow a little when missing files get listed.
func (a *attempt) takeBuffers() {
	need := min(a.plan.partSize, a.plan.total)
	if len(a.buffers) > 0 && int64(len(a.buffers[0])) < need {
		a.buffers = nil
	}
	for _, b := range a.buffers {
		a.free <- b
	}
}

// filled notes that a writer is done with p and starts the upload after the last.
func (a *attempt) filled(ctx context.Context, p *part) {
	if p.fill.Add(-1) == 0 {
		a.group.Go(func() error { return a.upload(ctx, p) })
	}
}

// released notes that a user is done with p and frees the buffer after the last.
func (a *attempt) released(p *part) {
	if p.hold.Add(-1) == 0 {
		a.free <- p.buf // has room for all
	}
}

func (a *attempt) upload(ctx context.Context, p *part) error {
	crc := p.checksum()
	if err := a.sink.Part(ctx, p.number, p.buf, crc); err != nil {
		return fmt.Errorf("upload part %d: %w", p.number, err)
	}
	a.crcs[p.number-1] = crc
	a.progress.Add(1)
	a.released(p)
	return nil
}

// settle notes that an item is read, or hashed.
func (a *attempt) settle() {
	if a.pending.Add(-1) == 0 {
		close(a.settled)
	}
}

// miss notes that an entry can't be in the ZIP, which ends the attempt. An
// empty reason is found out afterwards.
func (a *attempt) miss(e *Entry, reason Reason) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found[e] = reason
	return errMissing
}

// sealSums fixes the checksums of SHA256SUMS itself.
func (a *attempt) sealSums() error {
	d := newDigest()
	if err := a.plan.writeSums(d); err != nil {
		return err
	}
	a.plan.sums.crc = d.crc
	a.sumsDigest = hex.EncodeToString(d.sha.Sum(nil))
	return nil
}
