package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/callvault/callvault/internal/rawjson"
)

// object is a JSON object whose values keep their bytes. It shares the line's memory.
type object struct {
	members []member
	index   map[string]int
}

// member is one field. whole is the field with its name, as in the object.
type member struct {
	name  string
	value []byte
	whole []byte
}

// parseObject parses text that must be one JSON object. Its errors are safe to show.
func parseObject(text []byte) (object, error) {
	text = bytes.Trim(text, " \t\r\n")
	if !utf8.Valid(text) {
		return object{}, errors.New("not valid UTF-8")
	}
	if !json.Valid(text) {
		return object{}, invalidJSON(text)
	}
	if text[0] != '{' {
		return object{}, errors.New("not a JSON object")
	}
	return members(text)
}

// invalidJSON returns an error that names the first byte that is wrong.
func invalidJSON(text []byte) error {
	var value json.RawMessage
	var syntax *json.SyntaxError
	if errors.As(json.Unmarshal(text, &value), &syntax) {
		return fmt.Errorf("not valid JSON at byte %d", syntax.Offset)
	}
	return errors.New("not valid JSON")
}

// members parses an object that is valid JSON.
func members(text []byte) (object, error) {
	o := object{index: make(map[string]int, 16)}
	for m, err := range rawjson.Members(text) {
		if err != nil {
			return o, err
		}
		name, err := unquote(m.Name)
		if err != nil {
			return o, fmt.Errorf("a field's name %w", err)
		}
		if _, twice := o.index[name]; twice {
			return o, fmt.Errorf("%.80q stands twice", name)
		}
		o.index[name] = len(o.members)
		o.members = append(o.members, member{name: name, value: m.Value, whole: m.Whole})
	}
	return o, nil
}

// get returns a field's value; nil when it is absent or null.
func (o object) get(name string) []byte {
	i, ok := o.index[name]
	if !ok || string(o.members[i].value) == "null" {
		return nil
	}
	return o.members[i].value
}

// has says whether the field is present; it may be null.
func (o object) has(name string) bool {
	_, ok := o.index[name]
	return ok
}

// isNull says whether the field is present and null.
func (o object) isNull(name string) bool { return o.has(name) && o.get(name) == nil }

// without returns the object without one field.
func (o object) without(name string) json.RawMessage {
	size := 2
	for _, m := range o.members {
		size += len(m.whole) + 1
	}
	out := append(make([]byte, 0, size), '{')
	for _, m := range o.members {
		if m.name == name {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, m.whole...)
	}
	return append(out, '}')
}

// unquote decodes a JSON string. It refuses strings that PostgreSQL cannot store.
func unquote(quoted []byte) (string, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	if rawjson.HasLoneSurrogate(quoted) {
		return "", errors.New("holds half of a surrogate pair")
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", errors.New("is not a JSON string")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return "", errors.New("must not hold the character U+0000")
	}
	return s, nil
}
