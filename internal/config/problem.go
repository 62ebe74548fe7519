package config

import (
	"maps"
	"slices"
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

// Has reports whether the variable is among the problems; e may be nil, for none.
func (e *Error) Has(variable string) bool {
	return e != nil && slices.ContainsFunc(e.Problems, func(p Problem) bool { return p.Variable == variable })
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
	for _, variable := range slices.Sorted(maps.Keys(p)) {
		e.Problems = append(e.Problems, Problem{Variable: variable, Text: p[variable]})
	}
	return e
}
