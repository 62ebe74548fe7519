package db

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"
)

// DB is a handle on one database; it is safe for concurrent use.
type DB struct {
	write, read *sql.DB // SQLite: one connection and several; PostgreSQL: the same pool
	postgres    bool
	path        string // of SQLite's file
	readOnly    bool   // SQLite's file is only read
	url         string // of PostgreSQL, for the connections that migrations are run on
	steps       fs.FS  // the schema's steps, in one directory for each database
	writes      statements
	reads       statements
	commits     groupCommit
	observe     func(Observed)
}

// Postgres says whether the database is PostgreSQL.
func (d *DB) Postgres() bool { return d.postgres }

// Close ends the connections.
func (d *DB) Close() error {
	err := d.write.Close()
	if d.read != d.write {
		err = errors.Join(err, d.read.Close())
	}
	return err
}

// Prepare registers statements that each connection to SQLite parses only once. It is for short
// statements that run often. PostgreSQL's driver does this for all statements.
func (d *DB) Prepare(texts ...string) {
	if !d.postgres {
		d.writes.register(texts)
		d.reads.register(texts)
	}
}

// ExecContext runs one statement that changes something, in a transaction of its own.
func (d *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	begun := time.Now()
	result, err := d.write.ExecContext(ctx, query, args...)
	d.observed("exec", begun, err)
	return result, translate(err)
}

// QueryContext runs one statement that reads.
func (d *DB) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	begun := time.Now()
	if s := d.reads.of(ctx, query); s != nil { //nolint:sqlclosecheck // kept until the database is closed
		rows, err = s.QueryContext(ctx, args...)
	} else {
		rows, err = d.read.QueryContext(ctx, query, args...)
	}
	d.observed("query", begun, err)
	return rows, translate(err)
}

// QueryRowContext runs one statement that reads one row.
func (d *DB) QueryRowContext(ctx context.Context, query string, args ...any) Row {
	begun := time.Now()
	var row *sql.Row
	if s := d.reads.of(ctx, query); s != nil { //nolint:sqlclosecheck // kept until the database is closed
		row = s.QueryRowContext(ctx, args...)
	} else {
		row = d.read.QueryRowContext(ctx, query, args...)
	}
	d.observed("query", begun, row.Err())
	return Row{row}
}
