package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// Observed is one statement outside of a transaction, or one transaction with all its tries.
type Observed struct {
	Operation string        // query, exec, read (a snapshot) or write (a transaction)
	Outcome   string        // ok, canceled, timeout, or the error's kind: unavailable, catalog_fault
	Took      time.Duration // of a query, until its first row
}

// Observe sets who is told of the database's work, for metrics; it must not wait. Call it before
// the catalog is used.
func (c *Catalog) Observe(tell func(Observed)) { c.watch.tell = tell }

// Stats tells of the connections: those that write first. SQLite has others that read.
func (c *Catalog) Stats() map[string]sql.DBStats {
	stats := map[string]sql.DBStats{"write": c.write.Stats()}
	if c.read != c.write {
		stats["read"] = c.read.Stats()
	}
	return stats
}

// watcher tells of what was asked of the database.
type watcher struct{ tell func(Observed) }

func (w *watcher) done(operation string, begun time.Time, err error) {
	if w.tell != nil {
		w.tell(Observed{Operation: operation, Outcome: outcomeOf(err), Took: time.Since(begun)})
	}
}

// outcomeOf takes what a caller is told about its own request for a success of the database.
func outcomeOf(err error) string {
	err = translate(err)
	switch kind := domain.KindOf(err); {
	case err == nil:
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case kind == domain.KindUnavailable, kind == domain.KindBadCatalog:
		return string(kind)
	}
	return "ok"
}

// pool is a database whose single statements are watched.
type pool struct {
	*sql.DB
	watch *watcher
}

// ExecContext is sql.DB's.
func (p pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if tx := together(ctx); tx != nil {
		return tx.ExecContext(ctx, query, args...)
	}
	begun := time.Now()
	result, err := p.DB.ExecContext(ctx, query, args...)
	p.watch.done("exec", begun, err)
	return result, err
}

// QueryContext is sql.DB's.
func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if tx := together(ctx); tx != nil {
		return tx.QueryContext(ctx, query, args...)
	}
	begun := time.Now()
	rows, err := p.DB.QueryContext(ctx, query, args...)
	p.watch.done("query", begun, err)
	return rows, err
}

// QueryRowContext is sql.DB's.
func (p pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if tx := together(ctx); tx != nil {
		return tx.QueryRowContext(ctx, query, args...)
	}
	begun := time.Now()
	row := p.DB.QueryRowContext(ctx, query, args...)
	p.watch.done("query", begun, row.Err())
	return row
}
