package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/callvault/callvault/internal/domain"
)

// Row is the answer of a statement that reads one row.
type Row struct{ row *sql.Row }

// Scan reads the row's columns. Error: KindNotFound, which is sql.ErrNoRows too, when there is no
// row.
func (r Row) Scan(dest ...any) error { return translate(r.row.Scan(dest...)) }

// Querier is a DB or a Tx.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) Row
}

// Value scans a row of one column, for Collect.
func Value[T any](rows *sql.Rows) (v T, err error) {
	err = rows.Scan(&v)
	return v, err
}

// Each runs a query and calls scan for each row.
func Each(ctx context.Context, q Querier, scan func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return translate(err)
	}
	defer func() { err = errors.Join(err, translate(rows.Close())) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return translate(err)
		}
	}
	return translate(rows.Err())
}

// Collect runs a query and gives what scan makes of each row.
func Collect[T any](ctx context.Context, q Querier, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T, err error) {
	err = Each(ctx, q, func(rows *sql.Rows) error {
		v, err := scan(rows)
		if err == nil {
			out = append(out, v)
		}
		return err
	}, query, args...)
	return out, err
}

// ScanUntil scans rows until scan says that it has enough. The rest of the rows is not read, which
// costs PostgreSQL a connection. It is for the rare page of very large rows.
func ScanUntil(ctx context.Context, q Querier, scan func(*sql.Rows) (enough bool, err error), query string, args ...any) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return translate(err)
	}
	enough := false
	defer func() {
		if closing := rows.Close(); err == nil && !enough { // an error about rows that were not read is no error
			err = translate(closing)
		}
	}()
	for rows.Next() {
		if enough, err = scan(rows); err != nil {
			return translate(err)
		}
		if enough {
			cancel()
			return nil
		}
	}
	return translate(rows.Err())
}

// Affected says whether a statement, such as a compare-and-set, changed a row.
func Affected(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, translate(err)
	}
	n, err := res.RowsAffected()
	return n > 0, translate(err)
}

// NotFound says what does not exist when the error is that there is no such row. Other errors stay.
func NotFound(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Errorf(domain.KindNotFound, format, args...)
	}
	return err
}
