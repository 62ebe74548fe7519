package web

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/callvault/callvault/internal/domain"
)

// MaxTime is the end of the year 9999, in Unix seconds: the highest value of a parameter that is a
// time.
const MaxTime = 253402300800

// Query is a request's query. A parameter may be given once at most.
type Query struct{ values url.Values }

// ParseQuery reads a raw query. Error: KindInvalid when it can't be unescaped.
func ParseQuery(raw string) (Query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return Query{}, domain.Errorf(domain.KindInvalid, "the query can't be read")
	}
	return Query{values}, nil
}

// Only refuses parameters other than those named: a misspelt filter would be ignored otherwise.
// Error: KindInvalid, with the first of the others.
func (q Query) Only(names ...string) error {
	for _, given := range slices.Sorted(maps.Keys(q.values)) {
		if !slices.Contains(names, given) {
			return domain.Errorf(domain.KindInvalid, "%.64q is no parameter of this endpoint", given)
		}
	}
	return nil
}

// Text gives a parameter. Error: KindInvalid when it is given twice, is longer than maxBytes, or is
// not ValidText.
func (q Query) Text(name string, maxBytes int) (value string, given bool, err error) {
	all := q.values[name]
	switch {
	case len(all) == 0:
		return "", false, nil
	case len(all) > 1:
		return "", true, domain.Errorf(domain.KindInvalid, "%s must be given once", name)
	case len(all[0]) > maxBytes:
		return "", true, domain.Errorf(domain.KindInvalid, "%s is longer than %d bytes", name, maxBytes)
	case !ValidText(all[0]):
		return "", true, domain.Errorf(domain.KindInvalid, "%s is not valid text", name)
	}
	return all[0], true, nil
}

// NonEmpty is Text for a parameter that must not be empty. Error: KindInvalid.
func (q Query) NonEmpty(name string, maxBytes int) (value string, given bool, err error) {
	value, given, err = q.Text(name, maxBytes)
	if err == nil && given && value == "" {
		err = domain.Errorf(domain.KindInvalid, "%s must not be empty", name)
	}
	return value, given, err
}

// ValidText says whether text is UTF-8 without NUL: other text fits into no database column.
func ValidText(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// Cursor gives the parameter cursor; an empty one counts as absent. Error: KindInvalid.
func (q Query) Cursor() (string, error) {
	given := slices.DeleteFunc(slices.Clone(q.values["cursor"]), func(cursor string) bool { return cursor == "" })
	cursor, _, err := Query{url.Values{"cursor": given}}.Text("cursor", MaxCursor)
	return cursor, err
}

// Int gives a parameter that is a whole number of digits, with an optional minus sign. Error:
// KindInvalid when it is anything else or not from lowest to highest.
func (q Query) Int(name string, lowest, highest int64) (value int64, given bool, err error) {
	text, given, err := q.Text(name, 20)
	if err != nil || !given {
		return 0, given, err
	}
	value, err = strconv.ParseInt(text, 10, 64)
	if err != nil || text[0] == '+' || value < lowest || value > highest {
		return 0, true, domain.Errorf(domain.KindInvalid, "%s must be a whole number from %d to %d", name, lowest, highest)
	}
	return value, true, nil
}
