package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// Observed is one statement outside of a transaction, or one transaction with all its attempts.
type Observed struct {
	Operation string        // query, exec, read (a snapshot) or write (a transaction)
	Outcome   string        // ok, canceled, timeout, or the error's kind: unavailable, catalog_fault
	Took      time.Duration // of a query, until its first row
}

// Observe sets who is told of the database's work, for metrics; it must not wait. Call it before
// the database is used.
func (d *DB) Observe(tell func(Observed)) { d.observe = tell }

// Stats tells of the connections, by what they are for: write and, on SQLite, read. PostgreSQL has
// the same ones for both.
func (d *DB) Stats() map[string]sql.DBStats {
	stats := map[string]sql.DBStats{"write": d.write.Stats()}
	if d.read != d.write {
		stats["read"] = d.read.Stats()
	}
	return stats
}

func (d *DB) observed(operation string, begun time.Time, err error) {
	if d.observe != nil {
		d.observe(Observed{Operation: operation, Outcome: outcomeOf(err), Took: time.Since(begun)})
	}
}

// outcomeOf counts what a caller is told about its own request as a success of the database.
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
