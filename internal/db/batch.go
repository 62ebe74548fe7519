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

// batchTimeout bounds a shared transaction, which obeys no single caller's context.
const batchTimeout = 30 * time.Second

// groupCommit lets callers who come at the same time share one transaction, because each commit
// waits for the disk: while one batch is run, the next one gathers.
type groupCommit struct {
	size int // of a batch, at most
	run  func(ctx context.Context, batch []*request)

	mu      sync.Mutex
	working bool // a worker is running
	waiting []*request
}

// request is one caller's part of a batch.
type request struct {
	ctx  context.Context
	fn   func(tx *Tx) error
	err  error
	done chan struct{} // closed when err is final
}

// do queues fn and waits until a batch that holds it has committed. No single caller's end may end
// a batch, but a caller whose batch has not begun can leave: while the database hangs the wait
// could be of any length.
func (g *groupCommit) do(ctx context.Context, fn func(tx *Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	if !g.working {
		g.working = true
		go g.work(context.WithoutCancel(ctx)) // ends when nobody waits; until then its callers wait for it
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

// leave takes out a request whose batch has not begun.
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

// work runs batches until nobody waits.
func (g *groupCommit) work(ctx context.Context) {
	for {
		runtime.Gosched() // lets others join: the more there are, the less of a commit each costs
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

// finish runs a batch and tells every caller how the request ended.
func (g *groupCommit) finish(ctx context.Context, batch []*request) {
	defer func() {
		broken := recover()
		for _, r := range batch {
			if broken != nil { // nothing of the batch stands
				r.err = domain.Errorf(domain.KindInternal, "the shared transaction broke off: %v", broken)
			}
			close(r.done)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	g.run(ctx, batch)
}

// Batch runs fn in a transaction of its own, or on SQLite as a part of one that callers who come at
// the same time share, and so its wait for the disk. An error of fn undoes what fn did and nothing
// else, at some cost to the others: a usual outcome is better told by a variable. fn may run more
// than once, and on another goroutine.
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
			r.err = r.ctx.Err() // unless it is nil, nobody waits for the request any more
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
	if errors.Is(err, errSpoiled) { // rare: once more, so that what failed can be undone alone
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

// errSpoiled says that one request failed and that only the end of the transaction can undo it.
var errSpoiled = errors.New("a part of the shared transaction failed")

// runShared runs the request's part. Error: errSpoiled when it failed.
func (r *request) runShared(_ context.Context, tx *Tx) error {
	if err := r.fn(tx); err != nil {
		return errors.Join(errSpoiled, err)
	}
	return nil
}

// runAlone runs the request's part, which is undone alone when it fails.
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
