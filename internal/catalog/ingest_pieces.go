package catalog

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// inPieces is the head of a former value that is kept as pieces, since it differs from the value after
// it in several places.
const inPieces = -1

// Bounds of the search for pieces.
const (
	anchorBytes = 48 // of a text that stands in both values
	anchorTries = 16 // places where it may stand in the next value
	pieceDepth  = 8  // how often a piece is divided
)

// piece is a part of a former value: bytes that also stand in the value after it, then text that does not.
type piece struct {
	From int    `json:"from"`
	Len  int    `json:"len"`
	Text string `json:"text,omitempty"`
}

// pieces gives a value as JSON of the pieces that it shares with the next one.
func pieces(value, next string) string {
	text, err := json.Marshal(divide(nil, value, next, 0, pieceDepth))
	if err != nil {
		return value
	}
	return string(text)
}

// divide adds the pieces of a value. The next one begins at byte at of the whole next value.
func divide(list []piece, value, next string, at, depth int) []piece {
	head, tail := shared(value, next)
	middle, within := value[head:len(value)-tail], next[head:len(next)-tail]
	i, j, n := anchor(middle, within)
	if depth == 0 || n == 0 {
		list = append(list, piece{From: at, Len: head, Text: middle})
	} else {
		list = append(list, piece{From: at, Len: head})
		list = divide(list, middle[:i], within[:j], at+head, depth-1)
		list = append(list, piece{From: at + head + j, Len: n})
		list = divide(list, middle[i+n:], within[j+n:], at+head+j+n, depth-1)
	}
	if tail > 0 {
		list = append(list, piece{From: at + len(next) - tail, Len: tail})
	}
	return list
}

// anchor finds a long text that stands in both values: where it begins in each, and its length. 0 means
// that none was found. It looks for what stands in the middle of value first.
func anchor(value, next string) (i, j, n int) {
	for _, quarter := range []int{2, 1, 3} {
		from := len(value) / 4 * quarter
		for from < len(value) && !utf8.RuneStart(value[from]) {
			from++
		}
		if from+anchorBytes > len(value) {
			continue
		}
		for at, tries := -1, 0; tries < anchorTries && n < len(value)/10*9; tries++ { // the longest one, since texts repeat themselves
			found := strings.Index(next[at+1:], value[from:from+anchorBytes])
			if found < 0 {
				break
			}
			at += 1 + found
			before := sharedTail(value[:from], next[:at], 0)
			if length := before + sharedHead(value[from:], next[at:]); length > n {
				i, j, n = from-before, at-before, length
			}
		}
		if n > 0 {
			return i, j, n
		}
	}
	return 0, 0, 0
}

// shared counts the bytes of whole characters that two values have in common at their beginning and at
// their end.
func shared(value, next string) (head, tail int) {
	head = sharedHead(value, next)
	return head, sharedTail(value, next, head)
}

func sharedHead(value, next string) (n int) {
	for n < min(len(value), len(next)) && value[n] == next[n] {
		n++
	}
	for n > 0 && n < len(value) && !utf8.RuneStart(value[n]) {
		n--
	}
	return n
}

// sharedTail leaves out the first bytes, which belong to the head.
func sharedTail(value, next string, head int) (n int) {
	for n < min(len(value), len(next))-head && value[len(value)-1-n] == next[len(next)-1-n] {
		n++
	}
	for n > 0 && !utf8.RuneStart(value[len(value)-n]) {
		n--
	}
	return n
}

// joined puts a value together from its pieces. False means that they are damaged.
func joined(text, after string) (string, bool) {
	var list []piece
	if json.Unmarshal([]byte(text), &list) != nil {
		return "", false
	}
	var value strings.Builder
	for _, p := range list {
		if p.From < 0 || p.Len < 0 || p.From > len(after)-p.Len {
			return "", false
		}
		value.WriteString(after[p.From : p.From+p.Len])
		value.WriteString(p.Text)
	}
	return value.String(), true
}
