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

// maxSpokenTurn bounds the turns whose words are read, in bytes. No ingest line is larger.
const maxSpokenTurn = 64 << 20

// Turn is one spoken turn.
type Turn struct {
	Role   string    // RoleAgent or RoleUser
	Text   string    // never empty
	At     time.Time // zero when the turn tells no time of day
	Offset *float64  // seconds into the call; nil when the turn does not tell
}

var errStopped = errors.New("nobody wants more turns")

// Turns gives the spoken turns of a raw transcript in their order, and holds one of them at a time; see
// Calls for what holds turns. What functions and tools said or were asked is left out, and so are
// prompts. The error of text that is not valid JSON comes last, after the turns before the fault; it
// may be r's own. Turns can be ranged over once.
func Turns(r io.Reader) iter.Seq2[Turn, error] {
	return func(yield func(Turn, error) bool) {
		s := newScanner(r, maxSpokenTurn)
		var told events
		found := false
		err := s.turns(func(element []byte) error {
			turn, id, ok := spoken(element)
			if !ok || !told.first(id) {
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
		if broken := s.drain(); broken != nil {
			err = broken
		}
		if err != nil {
			yield(Turn{}, err)
		}
	}
}

// Count says how many spoken turns a raw transcript has; nil when it is not valid JSON. The error is
// r's own.
func Count(r io.Reader) (*int, error) {
	n := 0
	for _, err := range Turns(r) {
		switch {
		case errors.Is(err, errSyntax):
			return nil, nil //nolint:nilnil // there is nothing to count, and nothing failed
		case err != nil:
			return nil, err
		}
		n++
	}
	return &n, nil
}

// spoken reads one turn, and its item's id when an event tells of it; ok is false for what nobody said.
func spoken(text []byte) (turn Turn, id string, ok bool) {
	o, ok := parse(text)
	if !ok {
		return turn, "", false
	}
	o, id = o.item()
	turn.Role = o.role()
	if turn.Role == "" || ofFunction(plainName(o.text("type"))) {
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

// spokenText gives the words of a turn or of a part of one: the first of its text fields that has some.
func (o object) spokenText(depth int) string {
	for _, name := range textNames() {
		if s := words(o[name], depth); s != "" {
			return s
		}
	}
	return ""
}

// words gives the words of a text, of a part, or of a list of those.
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
		if part, ok := parse(v); ok && !ofFunction(plainName(part.text("type"))) {
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
