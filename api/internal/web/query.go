package web

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/callvault/callvault/internal/domain"
)

// Query is a request's query, read strictly: what is read must be there once at most.
type Query struct{ values url.Values }

// ParseQuery reads a raw query. Error: KindInvalid when it can't be unescaped.
func ParseQuery(raw string) (Query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return Query{}, domain.Errorf(domain.KindInvalid, "the query can't be read")
	}
	return Query{values}, nil
}

// Only wants no parameters but those named: a misspelt filter would be passed over. Error: KindInvalid,
// with the first of the others.
func (q Query) Only(names ...string) error {
	for _, given := range slices.Sorted(maps.Keys(q.values)) {
		if !slices.Contains(names, given) {
			return domain.Errorf(domain.KindInvalid, "%.64q is no parameter of this endpoint", given)
		}
	}
	return nil
}

// Text gives a parameter. Error: KindInvalid when it stands twice, is longer than most bytes, or is
// no UTF-8 or holds a NUL, which no database column takes.
func (q Query) Text(name string, most int) (value string, given bool, err error) {
	all := q.values[name]
	switch {
	case len(all) == 0:
		return "", false, nil
	case len(all) > 1:
		return "", true, domain.Errorf(domain.KindInvalid, "%s must be given once", name)
	case len(all[0]) > most:
		return "", true, domain.Errorf(domain.KindInvalid, "%s is longer than %d bytes", name, most)
	case !Storable(all[0]):
		return "", true, domain.Errorf(domain.KindInvalid, "%s is not valid text", name)
	}
	return all[0], true, nil
}

// Storable says whether text is UTF-8 without NUL.
func Storable(text string) bool {
	for i := range len(text) {
		if text[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(text)
}

// Cursor gives the cursor, "" when there is none: an empty one counts as absent. Error: KindInvalid.
func (q Query) Cursor() (string, error) {
	given := slices.DeleteFunc(slices.Clone(q.values["cursor"]), func(cursor string) bool { return cursor == "" })
	cursor, _, err := Query{url.Values{"cursor": given}}.Text("cursor", MaxCursor)
	return cursor, err
}

// Whole gives a parameter that is a whole number of plain digits, with a minus sign at most. Error:
// KindInvalid when it is anything else or not within least and most.
func (q Query) Whole(name string, least, most int64) (value int64, given bool, err error) {
	text, given, err := q.Text(name, 20)
	if err != nil || !given {
		return 0, given, err
	}
	value, err = strconv.ParseInt(text, 10, 64)
	if err != nil || text[0] == '+' || value < least || value > most {
		return 0, true, domain.Errorf(domain.KindInvalid, "%s must be a whole number from %d to %d", name, least, most)
	}
	return value, true, nil
}
