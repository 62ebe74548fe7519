package catalog

import (
	"context"
	"strconv"
	"strings"
)

// listSizes is how many texts a list has: for 1, 2, 4, 8, 16 and 32 rows.
const listSizes = 6

// list is a statement over many rows. A few rows more or less would make ever new texts to parse,
// so there is a text for each power of two, and what is over takes another statement.
type list struct {
	width int // parameters of a row
	texts [listSizes]string
}

// newList makes a list of the text before its rows, one row and the text behind. In the row @
// stands for each parameter and # for the row's number from 0.
func newList(before, row, behind string) list {
	l := list{width: strings.Count(row, "@")}
	for i := range l.texts {
		var b strings.Builder
		b.WriteString(before)
		parameter := 0
		for n := range 1 << i {
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
		l.texts[i] = b.String() + behind
	}
	return l
}

// each gives fn a text for the first of the rows that args hold, with their arguments and how
// many rows went before, until none is left.
func (l *list) each(args []any, fn func(text string, args []any, before int) error) error {
	before := 0
	for size := listSizes - 1; len(args) > 0; {
		n := l.width << size
		if n > len(args) {
			size--
			continue
		}
		if err := fn(l.texts[size], args[:n], before); err != nil {
			return err
		}
		args, before = args[n:], before+1<<size
	}
	return nil
}

// exec runs a list that answers nothing.
func (l *list) exec(ctx context.Context, tx smallTx, args []any) error {
	return l.each(args, func(text string, args []any, _ int) error {
		_, err := tx.ExecContext(ctx, text, args...)
		return err
	})
}
