package config

import (
	"sort"
	"strings"
)

// Problem is one setting that cannot be used.
type Problem struct {
	Variable string
	Text     string // what is wrong and what would be right
}

// Error is every problem of a configuration at once, sorted by variable.
type Error struct{ Problems []Problem }

// Error has one line for each problem, which begins with the variable.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Variable + ": " + p.Text
	}
	return strings.Join(lines, "\n")
}

// problems has the first problem of each variable. Later ones may only follow from the first.
type problems map[string]string

func (p problems) add(variable, text string) {
	if _, known := p[variable]; !known {
		p[variable] = text
	}
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	e := &Error{}
	for v, t := range p {
		e.Problems = append(e.Problems, Problem{Variable: v, Text: t})
	}
	sort.Slice(e.Problems, func(i, j int) bool { return e.Problems[i].Variable < e.Problems[j].Variable })
	return e
}
