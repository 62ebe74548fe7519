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

// Observe sets a function that is called for every operation, for metrics. The function must not
// block. Call Observe before the database is used.
func (d *DB) Observe(observe func(Observed)) { d.observe = observe }

// Stats gives the state of the connection pools by purpose: write and, on SQLite, read. PostgreSQL
// has one pool for both.
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

// outcomeOf gives the outcome for metrics. An error that is about the request, such as not_found,
// counts as a success of the database.
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
