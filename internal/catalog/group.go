package catalog

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// groupSize bounds how many small transactions share one commit.
const groupSize = 128

// groupTimeout bounds a shared transaction, which obeys no single caller's context.
const groupTimeout = 30 * time.Second

// group lets callers who come at the same time share one transaction, because each commit waits
// for the disk: while one batch is run, the next one gathers.
type group[T any] struct {
	size  int // of a batch, at most
	lanes int // batches at a time, at most

	mu      sync.Mutex
	running int
	waiting []*member[T]
}

// member is one caller's part.
type member[T any] struct {
	ctx  context.Context
	part T
	err  error
	done chan struct{} // closed when err is final
}

// do has run run the part, together with those of others, and gives what run left as the part's
// error. No single caller's end may end what run does, but one who is not being served yet can leave:
// while the database hangs the wait could be of any length.
func (g *group[T]) do(ctx context.Context, part T, run func(ctx context.Context, batch []*member[T])) error {
	m := &member[T]{ctx: ctx, part: part, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	if g.running < g.lanes {
		g.running++
		go g.lane(context.WithoutCancel(ctx), run) // ends when nobody waits; until then its callers wait for it
	}
	g.mu.Unlock()
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
	}
	if g.leave(m) {
		return ctx.Err()
	}
	<-m.done
	return m.err
}

// leave takes a caller out who still waits.
func (g *group[T]) leave(m *member[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(g.waiting, m)
	if at < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, at, at+1)
	return true
}

// lane runs batches until nobody waits.
func (g *group[T]) lane(ctx context.Context, run func(ctx context.Context, batch []*member[T])) {
	for {
		runtime.Gosched() // those on their way join: the more there are, the less of a commit each costs
		g.mu.Lock()
		n := min(len(g.waiting), g.size)
		batch := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		if n == 0 {
			g.running--
			g.waiting = nil
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		runBatch(ctx, batch, run)
	}
}

// runBatch runs a batch and tells every member how its part ended.
func runBatch[T any](ctx context.Context, batch []*member[T], run func(ctx context.Context, batch []*member[T])) {
	defer func() {
		broken := recover()
		for _, m := range batch {
			if broken != nil { // nothing of the batch stands
				m.err = domain.Errorf(domain.KindInternal, "the shared transaction broke off: %v", broken)
			}
			close(m.done)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	run(ctx, batch)
}
