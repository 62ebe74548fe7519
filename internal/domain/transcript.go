package domain

import (
	"bufio"
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

// Turn is one spoken turn of a raw transcript.
type Turn struct {
	Role   string    // RoleAgent or RoleUser
	Text   string    // never empty
	At     time.Time // zero when the turn tells no time of day
	Offset *float64  // seconds into the call; nil when the turn does not tell
}

// unixFrom is where a turn's numeric timestamp stops being an offset into the call: a call of
// 30 years does not exist, and no call took place before 2001.
const (
	unixFrom      = 1e9
	unixMilliFrom = 1e12
)

var errNotOneValue = errors.New("more than one JSON value")

// ParseTurns gives the spoken turns of a raw transcript, a JSON array of objects, in their order.
// A turn has a "role" or "speaker" and a "text", "message" or "content"; what functions and tools
// said or were asked is left out. JSON that is no array holds no turn. The error of text that is
// not valid JSON comes last, after the turns that stand before the fault.
func ParseTurns(raw string) iter.Seq2[Turn, error] { return ReadTurns(strings.NewReader(raw)) }

// ReadTurns is ParseTurns over a stream, of which it holds one turn at a time. It can be ranged over
// once. An error may be r's.
func ReadTurns(r io.Reader) iter.Seq2[Turn, error] {
	return func(yield func(Turn, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		dec := json.NewDecoder(in)
		if !beginsArray(in) {
			if err := skipOne(dec); err != nil {
				yield(Turn{}, err)
			}
			return
		}
		if _, err := dec.Token(); err != nil {
			yield(Turn{}, err)
			return
		}
		for dec.More() {
			var element json.RawMessage
			if err := dec.Decode(&element); err != nil {
				yield(Turn{}, err)
				return
			}
			if turn, ok := parseTurn(element); ok && !yield(turn, nil) {
				return
			}
		}
		if _, err := dec.Token(); err != nil {
			yield(Turn{}, err)
			return
		}
		if err := atEnd(dec); err != nil {
			yield(Turn{}, err)
		}
	}
}

// beginsArray looks at the first byte that is no space, and leaves it.
func beginsArray(in *bufio.Reader) bool {
	for {
		c, err := in.ReadByte()
		if err != nil {
			return false // the decoder meets it again
		}
		if !strings.ContainsRune(" \t\r\n", rune(c)) {
			return in.UnreadByte() == nil && c == '['
		}
	}
}

// CountTurns says how many spoken turns a raw transcript has; nil when it is not valid JSON.
func CountTurns(raw string) *int {
	n := 0
	for _, err := range ParseTurns(raw) {
		if err != nil {
			return nil
		}
		n++
	}
	return &n
}

func skipOne(dec *json.Decoder) error {
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return err
	}
	return atEnd(dec)
}

func atEnd(dec *json.Decoder) error {
	_, err := dec.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		err = errNotOneValue
	}
	return err
}

// parseTurn reads one element; ok is false for what nobody said.
func parseTurn(element json.RawMessage) (turn Turn, ok bool) {
	var e struct {
		Role, Speaker, Type     json.RawMessage
		Text, Message, Content  json.RawMessage
		Timestamp, Time, Offset json.RawMessage
		TimeInCall              json.RawMessage `json:"time_in_call_secs"`
	}
	if json.Unmarshal(element, &e) != nil {
		return turn, false // a string or a number among the turns
	}
	role := strings.ToLower(firstText(e.Role, e.Speaker))
	if role == "" || ofFunction(role) || ofFunction(strings.ToLower(firstText(e.Type))) {
		return turn, false
	}
	switch role {
	case "agent", "assistant", "bot":
		turn.Role = RoleAgent
	default:
		turn.Role = RoleUser
	}
	turn.Text = firstText(e.Text, e.Message, e.Content)
	turn.setTime(e.TimeInCall, e.Offset, e.Timestamp, e.Time)
	return turn, turn.Text != ""
}

// ofFunction tells the words for turns of functions and tools: function, function_call,
// function_call_output, tool, tool_call, tool_result and the like.
func ofFunction(word string) bool {
	return strings.HasPrefix(word, "function") || strings.HasPrefix(word, "tool")
}

// firstText gives the first non-empty text among the values: a string, or a list of strings and
// of objects with a "text".
func firstText(values ...json.RawMessage) string {
	for _, v := range values {
		var s string
		if len(v) > 0 && json.Unmarshal(v, &s) == nil && strings.TrimSpace(s) != "" {
			return s
		}
		var list []json.RawMessage
		if len(v) == 0 || v[0] != '[' || json.Unmarshal(v, &list) != nil {
			continue
		}
		if s := joinedText(list); s != "" {
			return s
		}
	}
	return ""
}

func joinedText(list []json.RawMessage) string {
	var parts []string
	for _, item := range list {
		var s string
		var o struct{ Text string }
		if json.Unmarshal(item, &s) == nil {
			parts = append(parts, s)
		} else if json.Unmarshal(item, &o) == nil && o.Text != "" {
			parts = append(parts, o.Text)
		}
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// setTime takes the first values that tell an offset and a time of day.
func (t *Turn) setTime(values ...json.RawMessage) {
	for _, v := range values {
		if len(v) == 0 {
			continue
		}
		var at time.Time
		var n *float64
		switch {
		case v[0] == '"':
			if t.At.IsZero() && json.Unmarshal(v, &at) == nil {
				t.At = at.UTC()
			}
		case json.Unmarshal(v, &n) != nil || n == nil || *n < 0 || *n > 1e16:
		case *n < unixFrom:
			if t.Offset == nil {
				t.Offset = n
			}
		case t.At.IsZero() && *n >= unixMilliFrom:
			t.At = time.UnixMilli(int64(*n)).UTC()
		case t.At.IsZero():
			t.At = time.UnixMicro(int64(*n * 1e6)).UTC()
		}
	}
}
