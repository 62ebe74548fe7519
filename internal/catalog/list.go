package catalog

import (
	"context"
	"strconv"
	"strings"

	"github.com/callvault/callvault/internal/db"
)

// list is a statement over many rows. A few rows more or less would make ever new texts to parse,
// so there are texts for some sizes, and what is over takes another statement: mostly none or one.
type list struct {
	width int // parameters of a row
	texts []listText
}

// listText is a list's statement for so many rows.
type listText struct {
	rows int
	text string
}

// newList makes a list of the text before its rows, one row and the text behind. In the row @
// stands for each parameter and # for the row's number from 0.
func newList(before, row, behind string) list {
	l := list{width: strings.Count(row, "@")}
	for _, rows := range []int{64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1} {
		l.texts = append(l.texts, listText{rows, before + listRows(row, rows) + behind})
	}
	return l
}

func listRows(row string, rows int) string {
	var b strings.Builder
	parameter := 0
	for n := range rows {
		if n > 0 {
			b.WriteString(", ")
		}
		for _, c := range row {
			switch c {
			case '@':
				parameter++
				b.WriteString("$" + strconv.Itoa(parameter))
			case '#':
				b.WriteString(strconv.Itoa(n))
			default:
				b.WriteRune(c)
			}
		}
	}
	return b.String()
}

// each gives fn a text for the first of the rows that args hold, with their arguments and how
// many rows went before, until none is left.
func (l *list) each(args []any, fn func(text string, args []any, before int) error) error {
	before := 0
	for _, t := range l.texts { // none but the largest is needed twice
		for n := l.width * t.rows; n <= len(args); args, before = args[n:], before+t.rows {
			if err := fn(t.text, args[:n], before); err != nil {
				return err
			}
		}
	}
	return nil
}

// exec runs a list that answers nothing.
func (l *list) exec(ctx context.Context, tx *db.Tx, args []any) error {
	return l.each(args, func(text string, args []any, _ int) error {
		_, err := tx.ExecContext(ctx, text, args...)
		return err
	})
}
