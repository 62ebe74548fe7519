package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Position is a row's place in an export: its time as printed, then its id, bytewise.
type Position struct {
	At int64  `json:"t"` // UTC microseconds
	ID string `json:"i"`
}

// Exports are in the order of the time as printed, rounded down to a unit of so many microseconds.
// No time is before 1970, so division rounds down.
const (
	perSecond      = 1_000_000 // of conversations
	perMillisecond = 1_000     // of messages
)

// inUnits gives a column's time in units. An index exists on this very expression.
func inUnits(column string, unit int64) string { return fmt.Sprintf("%s / %d", column, unit) }

// along names a table as c, and on SQLite the index to walk along: without statistics, which nobody
// gathers there, it takes an index for another that has the same order and reads all of a tenant.
func along(postgres bool, table, index string) string {
	if postgres {
		return table + " c"
	}
	return table + " AS c INDEXED BY " + index
}

// parameters gives n parameters from $first on, with commas between.
func parameters(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// texts makes parameters of strings.
func texts(list []string) []any {
	out := make([]any, 0, len(list))
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// scanUntil scans rows until scan says that it has enough. What the database would still send is
// then given up instead of read, which costs PostgreSQL a connection: it is for the rare page of
// huge rows.
func (c *Catalog) scanUntil(ctx context.Context, scan func(*sql.Rows) (enough bool, err error), query string, args ...any) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := c.read.QueryContext(ctx, query, args...)
	if err != nil {
		return translate(err)
	}
	enough := false
	defer func() {
		if closing := rows.Close(); err == nil && !enough { // what was given up can only say so
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
