package catalog

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// groupSize bounds how many small transactions share one commit.
const groupSize = 128

// groupTimeout bounds a shared transaction, which obeys no single caller's context.
const groupTimeout = 30 * time.Second

// group merges small SQLite transactions into one, because each commit there waits for the disk.
// The first caller leads: it runs whatever waits, its own work first, and hands the lead on.
// The zero value is ready.
type group struct {
	mu      sync.Mutex
	leading bool
	waiting []*member
}

// member is one caller's transaction.
type member struct {
	ctx  context.Context
	fn   func(tx smallTx) error
	err  error
	done chan struct{} // closed when err is final
	lead chan struct{} // closed when this caller is to lead
}

// grouped runs fn in a transaction of its own, or on SQLite in a savepoint of a shared one. An
// error of fn undoes what fn did and nothing else. fn may run more than once.
func (c *Catalog) grouped(ctx context.Context, fn func(tx smallTx) error) error {
	if c.postgres { // which groups commits itself
		return c.update(ctx, func(tx *sql.Tx) error { return fn(smallTx{Tx: tx}) })
	}
	m := &member{ctx: ctx, fn: fn, done: make(chan struct{}), lead: make(chan struct{})}
	if !c.group.join(m) {
		select {
		case <-m.done:
			return m.err
		case <-m.lead:
		}
	}
	defer c.group.handOn()
	c.runGroup(c.group.take())
	return m.err
}

// join queues a member and says whether it leads at once.
func (g *group) join(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, m)
	if g.leading {
		return false
	}
	g.leading = true
	return true
}

// take gives the members that wait, the leader first.
func (g *group) take() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), groupSize)
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return batch
}

// handOn makes the longest waiting member lead.
func (g *group) handOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.leading, g.waiting = false, nil
		return
	}
	close(g.waiting[0].lead)
}

// runGroup runs a batch in one transaction and tells every member how its part ended.
func (c *Catalog) runGroup(batch []*member) {
	finished := false
	defer func() {
		for _, m := range batch {
			if !finished { // a member's function panicked: nothing of the batch stands
				m.err = domain.Errorf(domain.KindInternal, "the shared transaction broke off")
			}
			close(m.done)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), groupTimeout)
	defer cancel()
	stmts := c.keepSmall(ctx)
	part := (*member).run
	run := func(tx *sql.Tx) error {
		for _, m := range batch {
			if m.err = part(m, ctx, smallTx{tx, stmts, true}); raced(m.err) || errors.Is(m.err, errSpoiled) {
				return m.err
			}
		}
		return nil
	}
	err := c.update(ctx, run)
	if errors.Is(err, errSpoiled) { // rare: once more, so that what failed can be undone alone
		part = (*member).runAlone
		err = c.update(ctx, run)
	}
	for _, m := range batch {
		if err != nil {
			m.err = err
		}
		m.err = translate(m.err)
	}
	finished = true
}

// errSpoiled says that a member failed and nothing can undo its part but the end of them all.
var errSpoiled = errors.New("a part of the shared transaction failed")

// run runs one member's part. Error: errSpoiled when it failed.
func (m *member) run(_ context.Context, tx smallTx) error {
	if err := m.ctx.Err(); err != nil { // nobody waits for it any more
		return err
	}
	if err := m.fn(tx); err != nil {
		return errors.Join(errSpoiled, err)
	}
	return nil
}

// runAlone runs one member's part, undone alone when it fails.
func (m *member) runAlone(ctx context.Context, tx smallTx) error {
	if err := m.ctx.Err(); err != nil { // nobody waits for it any more
		return err
	}
	if _, err := tx.ExecContext(ctx, `SAVEPOINT member`); err != nil {
		return err
	}
	err := m.fn(tx)
	if err != nil {
		if _, undo := tx.ExecContext(ctx, `ROLLBACK TO member`); undo != nil {
			return errors.Join(err, undo)
		}
	}
	_, release := tx.ExecContext(ctx, `RELEASE member`)
	return errors.Join(err, release)
}
