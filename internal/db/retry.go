package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/callvault/callvault/internal/domain"
)

// ErrRetry is returned, also wrapped, by the function of a transaction when something changed under
// it. The transaction is then undone and run again.
var ErrRetry = errors.New("something changed meanwhile")

// maxAttempts bounds how often a transaction that lost a race is repeated.
const maxAttempts = 20

// retry repeats a transaction that lost a race.
func retry(ctx context.Context, transaction func() error) error {
	for attempt := 1; ; attempt++ {
		err := transaction()
		if err == nil || attempt == maxAttempts || !raced(err) {
			return addCanceled(ctx, translate(err))
		}
		wait := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 7))) //nolint:gosec // spreads retries, guards nothing
		select {
		case <-ctx.Done():
			return addCanceled(ctx, translate(err))
		case <-time.After(wait):
		}
	}
}

// addCanceled adds the error of ctx to that of a transaction. When ctx has ended, drivers may say
// only that the transaction is over, which is no failure of the database.
func addCanceled(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && domain.KindOf(err) == domain.KindUnavailable {
		return errors.Join(ended, err)
	}
	return err
}

// raced says whether running the whole transaction again can help.
func raced(err error) bool {
	if errors.Is(err, ErrRetry) || errors.Is(err, driver.ErrBadConn) { // driver.ErrBadConn: nothing was executed
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "40001" || pg.Code == "40P01" // serialization failure, deadlock
	}
	code := sqliteCode(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

// translate gives the drivers' errors a kind. Errors that have a kind stay as they are.
func translate(err error) error {
	var known *domain.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return domain.Wrap(domain.KindNotFound, err, "no such row")
	case sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT:
		return domain.Wrap(domain.KindBadCatalog, err, "the catalog refused a value")
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case pooled(err):
			return domain.Wrap(domain.KindUnavailable, err, "the catalog is behind a pooler that does not keep sessions; %s", PoolerAdvice)
		case pg.Code == "42P01", pg.Code == "42703": // no such table, no such column
			return domain.Wrap(domain.KindUnavailable, err, "the catalog's schema is not this program's; run: callvault migrate up")
		case strings.HasPrefix(pg.Code, "22"), strings.HasPrefix(pg.Code, "23"): // data, constraints
			return domain.Wrap(domain.KindBadCatalog, err, "the catalog refused a value")
		}
	}
	return domain.Wrap(domain.KindUnavailable, err, "the catalog failed")
}
