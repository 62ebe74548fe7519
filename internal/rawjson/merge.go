package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
)

// errNoMember is the error for a field name that is not a string.
var errNoMember = errors.New("damaged JSON: a field's name")

// Merge sets the fields of next in old. Existing fields keep their place, and new fields come last,
// in the order of next. replaced, when not nil, is called for every value that changes. When
// nothing changes, Merge returns old itself.
func Merge(old, next []byte, replaced func(name string, before, after []byte)) ([]byte, error) {
	var list []Member
	index := map[string]int{}
	size := len(old) + len(next)
	for m, err := range Members(old) {
		name, bad := m.name()
		if err := errors.Join(err, bad); err != nil {
			return nil, err
		}
		index[name] = len(list)
		list = append(list, m)
	}
	changed := false
	for m, err := range Members(next) {
		name, bad := m.name()
		if err := errors.Join(err, bad); err != nil {
			return nil, err
		}
		at, exists := index[name]
		switch {
		case !exists:
			index[name] = len(list)
			list = append(list, m)
		case bytes.Equal(list[at].Value, m.Value):
			continue
		default:
			if replaced != nil {
				replaced(name, list[at].Value, m.Value)
			}
			list[at] = m
		}
		changed = true
	}
	if !changed {
		return old, nil
	}
	out := append(make([]byte, 0, size), '{')
	for i, m := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, m.Whole...)
	}
	return append(out, '}'), nil
}

// name decodes the member's name.
func (m Member) name() (string, error) {
	if len(m.Name) < 2 { // the text is damaged
		return "", errNoMember
	}
	if bytes.IndexByte(m.Name, '\\') < 0 {
		return string(m.Name[1 : len(m.Name)-1]), nil
	}
	var s string
	if json.Unmarshal(m.Name, &s) != nil {
		return "", errNoMember
	}
	return s, nil
}

// Text returns the string of an object's field; "" when there is no such field or it is no string.
func Text(object []byte, name string) string {
	for m, err := range Members(object) {
		if err != nil {
			return ""
		}
		if m.Is(name) {
			var s string
			if json.Unmarshal(m.Value, &s) != nil {
				return ""
			}
			return s
		}
	}
	return ""
}
