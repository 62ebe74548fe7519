package db

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// batchSize bounds how many small transactions share one commit.
const batchSize = 128

// batchTimeout bounds a shared transaction, because no single caller's context ends it.
const batchTimeout = 30 * time.Second

// groupCommit lets callers that come at the same time share one transaction. Each commit waits for
// the disk, so the requests that arrive during one batch form the next one.
type groupCommit struct {
	size int // of a batch, at most
	run  func(ctx context.Context, batch []*request)

	mu      sync.Mutex
	working bool // a goroutine runs work
	waiting []*request
}

// request is one caller's part of a batch.
type request struct {
	ctx  context.Context
	fn   func(tx *Tx) error
	err  error
	done chan struct{} // closed when err is final
}

// do queues fn and waits until a batch that holds it has committed. The end of one caller's context
// does not end the batch. A caller whose batch has not begun can leave, because a database that
// hangs would make it wait without a bound.
func (g *groupCommit) do(ctx context.Context, fn func(tx *Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	if !g.working {
		g.working = true
		go g.work(context.WithoutCancel(ctx)) // ends when no request waits
	}
	g.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if g.leave(r) {
		return ctx.Err()
	}
	<-r.done
	return r.err
}

// leave removes a request whose batch has not begun. It is false when the batch has begun.
func (g *groupCommit) leave(r *request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(g.waiting, r)
	if at < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, at, at+1)
	return true
}

// work runs batches until no request waits.
func (g *groupCommit) work(ctx context.Context) {
	for {
		runtime.Gosched() // lets more requests join the batch
		g.mu.Lock()
		n := min(len(g.waiting), g.size)
		batch := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		if n == 0 {
			g.working = false
			g.waiting = nil
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		g.finish(ctx, batch)
	}
}

// finish runs a batch and wakes its callers.
func (g *groupCommit) finish(ctx context.Context, batch []*request) {
	defer func() {
		broken := recover()
		for _, r := range batch {
			if broken != nil { // the whole batch is undone
				r.err = domain.Errorf(domain.KindInternal, "the shared transaction broke off: %v", broken)
			}
			close(r.done)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	g.run(ctx, batch)
}

// Batch runs fn in a transaction. On SQLite callers that come at the same time share one
// transaction, and so one wait for the disk. An error of fn undoes only what fn did, but makes the
// whole batch run again. So fn should return a frequent refusal in a variable and not as its error.
// fn may run more than once, and on another goroutine.
func (d *DB) Batch(ctx context.Context, fn func(tx *Tx) error) error {
	if d.postgres { // PostgreSQL groups commits itself
		return d.Update(ctx, fn)
	}
	return d.commits.do(ctx, fn)
}

// runBatch runs a batch in one transaction.
func (d *DB) runBatch(ctx context.Context, batch []*request) {
	part := (*request).runShared
	run := func(tx *Tx) error {
		for _, r := range batch {
			r.err = r.ctx.Err() // after an error the caller has left
			if r.err == nil {
				r.err = part(r, ctx, tx)
			}
			if raced(r.err) || errors.Is(r.err, errSpoiled) {
				return r.err
			}
		}
		return nil
	}
	err := d.update(ctx, true, run)
	if errors.Is(err, errSpoiled) { // rare: run the batch again with savepoints
		part = (*request).runAlone
		err = d.update(ctx, true, run)
	}
	for _, r := range batch {
		if err != nil {
			r.err = err
		}
		r.err = translate(r.err)
	}
}

// errSpoiled says that a request failed, and that only a rollback of the whole transaction can undo
// it.
var errSpoiled = errors.New("a part of the shared transaction failed")

// runShared runs fn without a savepoint. Error: errSpoiled when fn fails.
func (r *request) runShared(_ context.Context, tx *Tx) error {
	if err := r.fn(tx); err != nil {
		return errors.Join(errSpoiled, err)
	}
	return nil
}

// runAlone runs fn within a savepoint, so that a failure of fn undoes only fn.
func (r *request) runAlone(ctx context.Context, tx *Tx) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT request`); err != nil {
		return err
	}
	err := r.fn(tx)
	if err != nil {
		if _, undo := tx.ExecContext(ctx, `ROLLBACK TO request`); undo != nil {
			return errors.Join(err, undo)
		}
	}
	_, release := tx.ExecContext(ctx, `RELEASE request`)
	return errors.Join(err, release)
}
