package rawjson

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// AppendValue appends one value without white space between its parts, so that it is one line. When
// the value is damaged it returns an error and appends nothing.
func AppendValue(to, value []byte) ([]byte, error) {
	from := skipSpace(value, 0)
	end := skipValue(value, from)
	if end < 0 || skipSpace(value, end) != len(value) {
		return to, errDamaged
	}
	for at := from; at < end; {
		switch value[at] {
		case '"':
			at = skipString(value, at)
		case ' ', '\t', '\n', '\r':
			to = append(to, value[from:at]...)
			at++
			from = at
		default:
			at++
		}
	}
	return append(to, value[from:end]...), nil
}

// AppendString appends s as a JSON string, as encoding/json does without HTML escapes.
func AppendString(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(to, s)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}

func appendEscaped(to []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // never: every string can be encoded
		return append(to, `""`...)
	}
	return append(to, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
