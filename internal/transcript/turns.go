package transcript

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"time"
)

// Roles of a turn, as conversations show them.
const (
	RoleAgent = "agent"
	RoleUser  = "user"
)

// maxSpokenTurn bounds a spoken turn, in bytes. No ingest line is larger.
const maxSpokenTurn = 64 << 20

// Turn is one spoken turn.
type Turn struct {
	Role   string    // RoleAgent or RoleUser
	Text   string    // never empty
	At     time.Time // zero when the turn has no time of day
	Offset *float64  // seconds into the call; nil when the turn has none
}

var errStopped = errors.New("the caller wants no more turns")

// Turns iterates over the spoken turns of a raw transcript in their order, with one of them in
// memory. It leaves out the turns of functions and tools, and prompts. An error comes last, after
// the turns before it: the text is not valid JSON, or r's own error. Turns can be ranged over once.
// Calls says what a transcript is.
func Turns(r io.Reader) iter.Seq2[Turn, error] {
	return func(yield func(Turn, error) bool) {
		s := newScanner(r, maxSpokenTurn)
		var seen events
		found := false
		err := s.turns(func(element []byte) error {
			turn, id, ok := spoken(element)
			if !ok || !seen.first(id) {
				return nil
			}
			found = true
			if !yield(turn, nil) {
				return errStopped
			}
			return nil
		}, func() bool { return found }, nil)
		if errors.Is(err, errStopped) {
			return
		}
		if _, more := s.next(); more && err == nil {
			err = errSyntax
		}
		if readErr := s.drain(); readErr != nil {
			err = readErr
		}
		if err != nil {
			yield(Turn{}, err)
		}
	}
}

// Count counts the spoken turns of a raw transcript. It returns nil when that is not valid JSON.
// The error is r's own.
func Count(r io.Reader) (*int, error) {
	n := 0
	for _, err := range Turns(r) {
		switch {
		case errors.Is(err, errSyntax):
			return nil, nil // nil says that the transcript has no turns to count
		case err != nil:
			return nil, err
		}
		n++
	}
	return &n, nil
}

// spoken reads one turn, and its item's id when it is an event. ok is false when it is not spoken.
func spoken(text []byte) (turn Turn, id string, ok bool) {
	o, ok := parse(text)
	if !ok {
		return turn, "", false
	}
	o, id = o.item()
	turn.Role = o.role()
	if turn.Role == "" || isFunctionWord(plainName(o.text("type"))) {
		return turn, "", false
	}
	turn.Text = o.spokenText(0)
	if turn.Text == "" {
		return turn, "", false
	}
	at := o.moment(moment{})
	turn.At, turn.Offset = at.time, at.offset
	return turn, id, true
}

// spokenText returns the text of a turn or of a part of one, from its first text field that is not
// blank.
func (o object) spokenText(depth int) string {
	for _, name := range textNames() {
		if s := words(o[name], depth); s != "" {
			return s
		}
	}
	return ""
}

// words returns the text of a string, of a part, or of a list of these.
func words(v json.RawMessage, depth int) string {
	if len(v) == 0 || depth > maxNested {
		return ""
	}
	switch v[0] {
	case '"':
		if s := asText(v); strings.TrimSpace(s) != "" {
			return s
		}
	case '{':
		if part, ok := parse(v); ok && !isFunctionWord(plainName(part.text("type"))) {
			return part.spokenText(depth + 1)
		}
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(v, &list) != nil {
			return ""
		}
		var texts []string
		for _, item := range list {
			if s := words(item, depth+1); s != "" {
				texts = append(texts, s)
			}
		}
		return strings.TrimSpace(strings.Join(texts, " "))
	}
	return ""
}
