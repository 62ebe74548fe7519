package catalog

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/callvault/callvault/internal/domain"
)

// maxAttempts bounds how often a transaction that lost a race is repeated.
const maxAttempts = 20

// update runs fn in one transaction and repeats it after serialization failures and deadlocks.
// An unclear answer to COMMIT comes back as KindUnavailable, or as ctx's error: the caller reads
// again what stands.
func (c *Catalog) update(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return c.run(ctx, c.write, nil, fn)
}

// view runs fn in one read-only snapshot.
func (c *Catalog) view(ctx context.Context, fn func(tx *sql.Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if c.postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return c.run(ctx, c.read, opts, fn)
}

func (c *Catalog) run(ctx context.Context, db pool, opts *sql.TxOptions, fn func(tx *sql.Tx) error) (err error) {
	if tx := together(ctx); tx != nil {
		return fn(tx)
	}
	operation := "write"
	if opts != nil {
		operation = "read"
	}
	defer func(begun time.Time) { c.watch.done(operation, begun, err) }(time.Now())
	return retry(ctx, func() error { return once(ctx, db, opts, fn) })
}

// updateOn is update for a function that also needs the connection beneath its transaction.
func (c *Catalog) updateOn(ctx context.Context, fn func(conn *sql.Conn, tx *sql.Tx) error) (err error) {
	defer func(begun time.Time) { c.watch.done("write", begun, err) }(time.Now())
	return retry(ctx, func() (err error) {
		conn, err := c.write.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		return once(ctx, conn, nil, func(tx *sql.Tx) error { return fn(conn, tx) })
	})
}

// retry repeats a transaction that lost a race.
func retry(ctx context.Context, transaction func() error) error {
	for attempt := 1; ; attempt++ {
		err := transaction()
		if err == nil || attempt == maxAttempts || !raced(err) {
			return translate(err)
		}
		wait := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 7))) //nolint:gosec // spreads retries, guards nothing
		select {
		case <-ctx.Done():
			return translate(err)
		case <-time.After(wait):
		}
	}
}

// beginner is a pool or one connection.
type beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

func once(ctx context.Context, db beginner, opts *sql.TxOptions, fn func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// raced says whether repeating the whole transaction can help.
func raced(err error) bool {
	if errors.Is(err, errMoved) || errors.Is(err, errPrefixChanged) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // serialization failure, deadlock
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code()&0xff == sqlite3.SQLITE_BUSY || lite.Code()&0xff == sqlite3.SQLITE_LOCKED
	}
	return false
}

// translate gives driver errors a kind; errors that have one pass.
func translate(err error) error {
	var known *domain.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return domain.Wrap(domain.KindNotFound, err, "no such row")
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_CONSTRAINT {
		return domain.Wrap(domain.KindBadCatalog, err, "the catalog refused a value")
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		case pg.Code == "42P01", pg.Code == "42703": // no such table, no such column
			return domain.Wrap(domain.KindUnavailable, err, "the catalog's schema is not this program's; run: callvault migrate up")
		case strings.HasPrefix(pg.Code, "22"), strings.HasPrefix(pg.Code, "23"): // data, constraints
			return domain.Wrap(domain.KindBadCatalog, err, "the catalog refused a value")
		}
		return domain.Wrap(domain.KindUnavailable, err, "the catalog failed")
	}
	return domain.Wrap(domain.KindUnavailable, err, "the catalog failed")
}

// now reads the catalog's clock. Call it after the locks are held.
func now(ctx context.Context, tx *sql.Tx) (int64, error) {
	var us int64
	err := tx.QueryRowContext(ctx, `SELECT now_us FROM catalog_clock`).Scan(&us)
	return us, err
}

// Now is the catalog's time: the one that decides about data.
func (c *Catalog) Now(ctx context.Context) (time.Time, error) {
	var us int64
	if err := c.read.QueryRowContext(ctx, `SELECT now_us FROM catalog_clock`).Scan(&us); err != nil {
		return time.Time{}, translate(err)
	}
	return fromMicros(us), nil
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// timeOf turns a nullable column into a time; null is the zero time.
func timeOf(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return fromMicros(us.Int64)
}

// nullable turns a pointer to a time into a column value.
func nullable(t *time.Time) any {
	if t == nil {
		return nil
	}
	return micros(*t)
}

// orNull turns "" into NULL.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// collect runs a query and scans each row with scan.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer func() { err = errors.Join(err, translate(rows.Close())) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, translate(err)
		}
		out = append(out, v)
	}
	return out, translate(rows.Err())
}

// querier is a transaction or a pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
