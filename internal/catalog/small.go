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

// smallStatements gives the texts that shared transactions run.
func smallStatements() []string {
	return []string{insertUseSQL, lastUseSQL, dayAccessSQL, linkAccessSQL, appendAuditSQL}
}

// keepSmall prepares what shared transactions run, before one of them takes the only connection.
func (c *Catalog) keepSmall(ctx context.Context) map[string]*sql.Stmt {
	stmts := make(map[string]*sql.Stmt, 8)
	for _, text := range smallStatements() {
		stmts[text] = c.writes.of(ctx, c.write.DB, text)
	}
	return stmts
}

// readRow reads one row on the reading side.
func (c *Catalog) readRow(ctx context.Context, query string, args ...any) *sql.Row {
	if !c.postgres {
		if s := c.reads.of(ctx, c.read.DB, query); s != nil { //nolint:sqlclosecheck // kept until the database is closed
			begun := time.Now()
			row := s.QueryRowContext(ctx, args...)
			c.watch.done("query", begun, row.Err())
			return row
		}
	}
	return c.read.QueryRowContext(ctx, query, args...)
}

// reading makes readRow a rowQuerier.
type reading struct{ c *Catalog }

func (r reading) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return r.c.readRow(ctx, query, args...)
}
