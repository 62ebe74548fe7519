package db

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Insert adds many rows to a table in the fastest way that the database has: COPY on PostgreSQL,
// and INSERT of many rows at a time on SQLite.
func (t *Tx) Insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	if !t.postgres {
		return t.insert(ctx, table, columns, rows)
	}
	return t.conn.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("fill %s: the driver is %T", table, driver)
		}
		_, err := conn.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
		return err
	})
}

// insertRows is how many rows one INSERT of SQLite has. More rows are not faster.
const insertRows = 50

func (t *Tx) insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	head := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES "
	if len(rows) >= insertRows {
		full, err := t.tx.PrepareContext(ctx, head+marks(insertRows, len(columns)))
		if err != nil {
			return err
		}
		for len(rows) >= insertRows {
			if _, err := full.ExecContext(ctx, slices.Concat(rows[:insertRows]...)...); err != nil {
				return err // the transaction's end closes the statement
			}
			rows = rows[insertRows:]
		}
		if err := full.Close(); err != nil { //nolint:sqlclosecheck // before the rest of the rows, not at the end
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := t.tx.ExecContext(ctx, head+marks(len(rows), len(columns)), slices.Concat(rows...)...)
	return err
}

// marks gives rows of parameters without numbers. SQLite looks up a numbered one by searching all
// of them.
func marks(rows, columns int) string {
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return row + strings.Repeat(", "+row, rows-1)
}
