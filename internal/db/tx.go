package db

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Tx is a transaction, or one caller's part of a shared one. It uses cached statements where there
// are any.
type Tx struct {
	conn     *sql.Conn
	tx       *sql.Tx
	kept     *statements
	postgres bool
	shared   bool // the parts of several callers are in it
}

// Update runs fn in one transaction and repeats it after serialization failures, deadlocks and
// ErrRetry. When the answer to COMMIT is lost, the error is KindUnavailable or ctx's, and the
// caller has to read whether the change was made.
func (d *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return d.update(ctx, false, fn)
}

func (d *DB) update(ctx context.Context, shared bool, fn func(tx *Tx) error) (err error) {
	defer func(begun time.Time) { d.observed("write", begun, err) }(time.Now())
	d.writes.parse(ctx) // before a transaction takes the only connection
	tx := Tx{kept: &d.writes, postgres: d.postgres, shared: shared}
	return retry(ctx, func() error { return run(ctx, tx, nil, fn) })
}

// View runs fn in one read-only snapshot.
func (d *DB) View(ctx context.Context, fn func(tx *Tx) error) (err error) {
	defer func(begun time.Time) { d.observed("read", begun, err) }(time.Now())
	opts := &sql.TxOptions{ReadOnly: true}
	if d.postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx := Tx{kept: &d.reads, postgres: d.postgres}
	return retry(ctx, func() error { return run(ctx, tx, opts, fn) })
}

// run runs fn once, in a new transaction with the other fields of tx.
func run(ctx context.Context, tx Tx, opts *sql.TxOptions, fn func(tx *Tx) error) (err error) {
	if tx.conn, err = tx.kept.pool.Conn(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.conn.Close()) }()
	if tx.tx, err = tx.conn.BeginTx(ctx, opts); err != nil {
		return err
	}
	defer func() { // also when fn panics: the connection's Close waits for the transaction's end
		if undo := tx.tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
	}()
	if err := fn(&tx); err != nil {
		return err
	}
	return tx.tx.Commit()
}

// Postgres says whether the database is PostgreSQL, where others can write during the transaction.
func (t *Tx) Postgres() bool { return t.postgres }

// context gives the context of a statement. SQLite undoes the whole transaction when a statement is
// interrupted, so in a shared one no single caller's context may interrupt.
func (t *Tx) context(ctx context.Context) context.Context {
	if t.shared {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// stmt gives the cached statement for a text; nil when there is none.
func (t *Tx) stmt(ctx context.Context, query string) *sql.Stmt {
	if s := t.kept.parsed(query); s != nil {
		return t.tx.StmtContext(ctx, s)
	}
	return nil
}

// ExecContext runs one statement of the transaction.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = t.context(ctx)
	if s := t.stmt(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		return s.ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

// QueryContext runs one statement of the transaction that reads.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = t.context(ctx)
	if s := t.stmt(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		return s.QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext runs one statement of the transaction that reads one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) Row {
	ctx = t.context(ctx)
	if s := t.stmt(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		return Row{s.QueryRowContext(ctx, args...)}
	}
	return Row{t.tx.QueryRowContext(ctx, query, args...)}
}
