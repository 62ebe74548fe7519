package main

import (
	"fmt"
	"io"
	"time"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
)

// show prints a result, as JSON or as text.
func (d *deps) show(asJSON bool, v any, text func() string) error {
	if asJSON {
		return console.JSON(d.stdout, v)
	}
	return printLine(d.stdout, text())
}

func printLine(w io.Writer, text string) error {
	if _, err := fmt.Fprintln(w, text); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// printClean prints lines that may hold text from outside.
func printClean(w io.Writer, lines ...string) error {
	for _, line := range lines {
		if err := printLine(w, console.Clean(line)); err != nil {
			return err
		}
	}
	return nil
}

// list prints things of which there may be many: as one JSON object a line, or as a table.
type list struct {
	out      io.Writer
	json     bool
	headings []string
	rows     [][]string
}

func (d *deps) newList(asJSON bool, headings ...string) *list {
	return &list{out: d.stdout, json: asJSON, headings: headings}
}

// add prints v, or keeps its row for the table.
func (l *list) add(v any, row ...string) error {
	if l.json {
		return console.JSONLine(l.out, v)
	}
	l.rows = append(l.rows, row)
	return nil
}

// end prints the table.
func (l *list) end() error {
	if l.json {
		return nil
	}
	return console.Table(l.out, l.headings, l.rows)
}

const pageSize = 500

// eachOf visits all things that page returns some at a time. visit returns the thing's key, after
// which the next page begins.
func eachOf[T any](page func(after string) ([]T, error), visit func(T) (key string, err error)) error {
	for after := ""; ; {
		some, err := page(after)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, v := range some {
			if after, err = visit(v); err != nil {
				return err
			}
		}
	}
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func timeTextOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return timeText(*t)
}

// optionalTime returns t in whole seconds, or nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Truncate(time.Second)
	return &t
}

func bytesOf(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return humanize.Comma(int64(n)) + " " + noun
}
