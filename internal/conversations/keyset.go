package conversations

import "fmt"

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

// inUnits gives a column's time in units. An index exists on this very expression. SQLite does not
// use it for row values that begin with the expression, so queries compare the expression too.
func inUnits(column string, unit int64) string { return fmt.Sprintf("%s / %d", column, unit) }

// indexedBy names a table as c, and on SQLite the index to read along. SQLite has no statistics
// here, so it may choose another index that has the same order, and read all rows of a tenant.
func indexedBy(postgres bool, table, index string) string {
	if postgres {
		return table + " c"
	}
	return table + " AS c INDEXED BY " + index
}
