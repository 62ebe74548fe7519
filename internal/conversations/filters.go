package conversations

import (
	"fmt"

	"github.com/callvault/callvault/internal/domain"
)

// Field is what a list or a bulk export can be filtered by.
type Field string

// Fields of filters.
const (
	User         Field = "user"
	Agent        Field = "agent"
	Outcome      Field = "outcome"      // success, failure or unknown; unknown also selects rows without a value
	Conversation Field = "conversation" // of messages
)

// Filters are the values that rows must have.
type Filters map[Field]string

// column is the column of a field.
type column struct {
	field Field
	sql   string
	index string // begins with the tenant and the column
}

// where gives a condition for each filter, in the order of columns, with parameters from $first on,
// then the values of these and the index of the first. Without its column a filter would select too
// much, so that is an error.
func (f Filters) where(columns []column, first int) (conditions []string, values []any, index string, err error) {
	for _, c := range columns {
		value, given := f[c.field]
		if !given {
			continue
		}
		if len(conditions) == 0 {
			index = c.index
		}
		conditions = append(conditions, fmt.Sprintf("%s = $%d", c.sql, first+len(values)))
		values = append(values, value)
	}
	if len(values) < len(f) {
		err = domain.Errorf(domain.KindInternal, "these rows can't be filtered by all of %q", f)
	}
	return conditions, values, index, err
}
