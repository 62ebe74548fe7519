package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
)

var errDamaged = errors.New("damaged JSON")

// Member is one field of an object. Its slices are those of the object's text.
type Member struct {
	Name  []byte // with its quotes, as in the text
	Value []byte
	Whole []byte // from the name to the value's end
}

// Is says whether the member has this name, whatever characters of it are escaped.
func (m Member) Is(name string) bool {
	quoted := m.Name
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1:len(quoted)-1]) == name
	}
	var s string
	return json.Unmarshal(quoted, &s) == nil && s == name
}

// Members iterates over the fields of one object. It ends with an error where the text is damaged.
func Members(text []byte) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		at := skipSpace(text, 0)
		if !hasByte(text, at, '{') {
			yield(Member{}, errDamaged)
			return
		}
		for at = skipSpace(text, at+1); !hasByte(text, at, '}'); {
			m, end := memberAt(text, at)
			if end < 0 {
				yield(m, errDamaged)
				return
			}
			if !yield(m, nil) {
				return
			}
			if at = skipSpace(text, end); hasByte(text, at, ',') {
				at = skipSpace(text, at+1)
			}
		}
	}
}

// memberAt reads the member at index at. end is negative when there is none.
func memberAt(text []byte, at int) (m Member, end int) {
	if !hasByte(text, at, '"') {
		return m, -1
	}
	named := skipString(text, at)
	if named < 0 {
		return m, -1
	}
	colon := skipSpace(text, named)
	if !hasByte(text, colon, ':') {
		return m, -1
	}
	from := skipSpace(text, colon+1)
	if end = skipValue(text, from); end < 0 {
		return m, -1
	}
	return Member{Name: text[at:named], Value: text[from:end], Whole: text[at:end]}, end
}

func hasByte(text []byte, at int, c byte) bool { return at < len(text) && text[at] == c }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isScalar says whether c can be part of a number, true, false or null.
func isScalar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && isSpace(text[at]) {
		at++
	}
	return at
}

// skipString returns the end of the string at index at; negative when it does not end.
func skipString(text []byte, at int) int {
	at++
	quote := bytes.IndexByte(text[at:], '"')
	if quote < 0 {
		return -1
	}
	if bytes.IndexByte(text[at:at+quote], '\\') < 0 {
		return at + quote + 1
	}
	for ; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return -1
}

// skipValue returns the end of the value at index at; negative when it does not end.
func skipValue(text []byte, at int) int {
	if at >= len(text) {
		return -1
	}
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		return skipNested(text, at)
	}
	from := at
	for at < len(text) && isScalar(text[at]) {
		at++
	}
	if at == from {
		return -1
	}
	return at
}

// skipNested is skipValue for objects and arrays.
func skipNested(text []byte, at int) int {
	for depth := 0; at < len(text); {
		switch text[at] {
		case '"':
			if at = skipString(text, at); at < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
		at++
	}
	return -1
}
