package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Position is a row's place in an export: its time, then its id, bytewise.
type Position struct {
	At int64  `json:"t"` // UTC microseconds
	ID string `json:"i"`
	// Printed says that the walk goes by the time as it is printed. Walks that began before callvault did
	// so go on by the microsecond.
	Printed bool `json:"p,omitempty"`
}

// order is the time that a walk goes by, in units of so many microseconds.
type order struct{ unit int64 }

// The orders of walks: a time is printed by rounding down. No time is before 1970, so division does it.
const (
	perSecond      = 1_000_000 // of conversations
	perMillisecond = 1_000     // of messages
)

// orderAfter is the order of the walk that a position belongs to; that of the unit where one begins.
func orderAfter(p *Position, unit int64) order {
	if p != nil && !p.Printed {
		return order{1}
	}
	return order{unit}
}

// of gives a column's time in the order's units.
func (o order) of(column string) string {
	if o.unit == 1 {
		return column
	}
	return fmt.Sprintf("%s / %d", column, o.unit)
}

// index is the index that goes by this order, of the one that goes by the microsecond.
func (o order) index(name string) string {
	if o.unit == 1 {
		return name
	}
	return name + "_printed"
}

// first and last give the position of a row whose time is so many units, by the unit's first or last
// microsecond. Programs that know no Printed go on from there: they show rows of that unit again, and
// leave none out, where first is used upwards and last downwards.
func (o order) first(units int64, id string) Position {
	return Position{At: units * o.unit, ID: id, Printed: o.unit != 1}
}

func (o order) last(units int64, id string) Position {
	return Position{At: units*o.unit + o.unit - 1, ID: id, Printed: o.unit != 1}
}

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
