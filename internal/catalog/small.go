package catalog

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

// kept is the statements of the busiest paths, parsed once per connection: SQLite would spend half
// of an answer on parsing them. PostgreSQL's driver keeps its own. The zero value is ready.
type kept struct {
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

// of gives db's statement for a text; nil when it can't be prepared, so that the text itself is
// run and says why. It must not be called by whoever holds db's last connection.
func (k *kept) of(ctx context.Context, db *sql.DB, text string) *sql.Stmt {
	k.mu.RLock()
	s := k.stmts[text]
	k.mu.RUnlock()
	if s != nil {
		return s
	}
	s, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if first := k.stmts[text]; first != nil { // somebody was faster
		_ = s.Close() //nolint:sqlclosecheck // nothing was done with it; those kept live as long as the database
		return first
	}
	if k.stmts == nil {
		k.stmts = make(map[string]*sql.Stmt)
	}
	k.stmts[text] = s
	return s
}

// smallTx is a transaction, or a part of a shared one, that uses kept statements where it can.
type smallTx struct {
	*sql.Tx
	stmts  map[string]*sql.Stmt
	shared bool // SQLite: several callers' parts are in it, and nobody else writes
}

// context gives what a statement is to obey. SQLite answers an interrupted statement by undoing
// the whole transaction, so in a shared one no single caller's end may interrupt.
func (t smallTx) context(ctx context.Context) context.Context {
	if t.shared {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// QueryRowContext is sql.Tx's.
func (t smallTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = t.context(ctx)
	if s := t.stmts[query]; s != nil {
		return t.Tx.StmtContext(ctx, s).QueryRowContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}

// ExecContext is sql.Tx's.
func (t smallTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = t.context(ctx)
	if s := t.stmts[query]; s != nil {
		return t.Tx.StmtContext(ctx, s).ExecContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext is sql.Tx's.
func (t smallTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = t.context(ctx)
	if s := t.stmts[query]; s != nil {
		return t.Tx.StmtContext(ctx, s).QueryContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// smallStatements gives the texts that shared transactions run.
func (c *Catalog) smallStatements() []string {
	texts := []string{insertUseSQL, lastUseSQL, linkAccessSQL, appendAuditSQL}
	for _, l := range []list{c.days.look, c.days.uses, c.days.lasts, c.days.lines} {
		for _, t := range l.texts {
			texts = append(texts, t.text)
		}
	}
	return texts
}

// keepSmall prepares what shared transactions run, before one of them takes the only connection.
func (c *Catalog) keepSmall(ctx context.Context) map[string]*sql.Stmt {
	c.writes.mu.RLock()
	stmts := c.writes.stmts
	c.writes.mu.RUnlock()
	if len(stmts) == len(c.small) { // nothing is added to it any more
		return stmts
	}
	stmts = make(map[string]*sql.Stmt, len(c.small))
	for _, text := range c.small {
		stmts[text] = c.writes.of(ctx, c.write.DB, text)
	}
	return stmts
}

// readRow reads one row on the reading side.
func (c *Catalog) readRow(ctx context.Context, query string, args ...any) *sql.Row {
	if !c.postgres && together(ctx) == nil {
		if s := c.reads.of(ctx, c.read.DB, query); s != nil { //nolint:sqlclosecheck // kept until the database is closed
			begun := time.Now()
			row := s.QueryRowContext(ctx, args...)
			c.watch.done("query", begun, row.Err())
			return row
		}
	}
	return c.read.QueryRowContext(ctx, query, args...)
}

// rowQuerier is a transaction or a pool.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// reading makes readRow a rowQuerier.
type reading struct{ c *Catalog }

// QueryContext is sql.DB's.
func (r reading) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if !r.c.postgres && together(ctx) == nil {
		if s := r.c.reads.of(ctx, r.c.read.DB, query); s != nil { //nolint:sqlclosecheck // kept until the database is closed
			begun := time.Now()
			rows, err := s.QueryContext(ctx, args...)
			r.c.watch.done("query", begun, err)
			return rows, err
		}
	}
	return r.c.read.QueryContext(ctx, query, args...)
}

func (r reading) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return r.c.readRow(ctx, query, args...)
}
