package db

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Micros gives a time as columns store it: UTC microseconds.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// FromMicros gives the time of such a column.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// Time gives a destination for Scan that makes a time of microseconds, and the zero time of NULL.
func Time(t *time.Time) sql.Scanner { return (*scannedTime)(t) }

type scannedTime time.Time

// Scan implements [sql.Scanner].
func (t *scannedTime) Scan(v any) error {
	us, ok := v.(int64)
	if !ok && v != nil {
		return fmt.Errorf("a column of times has a %T", v)
	}
	*t = scannedTime{}
	if ok {
		*t = scannedTime(FromMicros(us))
	}
	return nil
}

// OrZero gives a destination for Scan that makes the zero value of NULL.
func OrZero[T any](to *T) sql.Scanner { return orZero[T]{to} }

type orZero[T any] struct{ to *T }

// Scan implements [sql.Scanner].
func (z orZero[T]) Scan(v any) error {
	var n sql.Null[T]
	err := n.Scan(v)
	*z.to = n.V
	return err
}

// Nullable turns a pointer to a time into a column's value.
func Nullable(t *time.Time) any {
	if t == nil {
		return nil
	}
	return Micros(*t)
}

// OrNull turns "" into NULL.
func OrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Texts turns strings into parameters.
func Texts(list []string) []any {
	out := make([]any, 0, len(list))
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// Parameters gives n parameters from $first on, with commas between.
func Parameters(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// ParameterRows gives parameters for many rows: ($1, $2), ($3, $4) for two rows of two columns.
func ParameterRows(rows, columns int) string {
	var b strings.Builder
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + Parameters(r*columns+1, columns) + ")")
	}
	return b.String()
}
