package transcript

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestTurns(t *testing.T) {
	cases := []struct {
		name, raw string
		want      []string // role:text
		bad       bool
	}{
		{"a model, which speaks in parts", `[{"role":"model","text":"Hello"},{"role":"model","parts":[{"text":"Hi"}]}]`, []string{"user:Hello", "agent:Hi"}, false},
		{"speakers", `[{"speaker":"agent","text":"Hello"},{"speaker":"customer","text":"Hi"}]`, []string{"agent:Hello", "user:Hi"}, false},
		{"roles", `[{"role":"Assistant","content":"a"},{"role":"bot","message":"b"},{"role":"system","text":"c"},{"role":"developer","text":"d"},{"role":"Guest","text":"e"}]`, []string{"agent:a", "agent:b", "user:e"}, false},
		{"functions", `[{"role":"tool","content":"x"},{"role":"function","text":"y"},{"type":"function_call","role":"agent","text":"z"},{"role":"assistant","type":"custom_tool_call","text":"z"},{"role":"user","content":[{"type":"tool_result","content":"100"}]},{"role":"assistant","content":"said","tool_calls":[1]}]`, []string{"agent:said"}, false},
		{"content parts", `[{"role":"user","content":["one","two"]},{"role":"user","content":[{"type":"text","text":"three"}]},{"role":"user","content":[[["deep"]]]},{"role":"user","content":[[[["deeper"]]]]}]`, []string{"user:one two", "user:three", "user:deep"}, false},
		{"nothing said", `[{"role":"user","text":""},{"role":"user","text":null},{"text":"nobody"},{"role":"user","text":7},5,"x",null,[]]`, nil, false},
		{"first non-empty", `[{"role":"","speaker":"agent","text":"","message":"m"}]`, []string{"agent:m"}, false},
		{"empty list", ` [] `, nil, false},
		{"object", `{"turns":[]}`, nil, false},
		{"an array before the words", `{"history":[],"events":[{"type":"tool_call","name":"f"}],"messages":[{"role":"user","text":"a"}],"transcript":[{"role":"user","text":"b"}]}`, []string{"user:a"}, false},
		{"null", `null`, nil, false},
		{"empty", ``, nil, true},
		{"text", `hello`, nil, true},
		{"cut", `[{"role":"user","text":"kept"},{"role"`, []string{"user:kept"}, true},
		{"tail", `[] []`, nil, true},
		{"object tail", `{} x`, nil, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			bad := false
			for turn, err := range Turns(strings.NewReader(c.raw)) {
				if err != nil {
					bad = true
					continue
				}
				got = append(got, turn.Role+":"+turn.Text)
			}
			if bad != c.bad || strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Fatalf("got %q bad=%v, want %q bad=%v", got, bad, c.want, c.bad)
			}
			if n, err := Count(strings.NewReader(c.raw)); err != nil || (n == nil) != c.bad || n != nil && *n != len(c.want) {
				t.Fatalf("Count = %v, %v, want %d turns, bad=%v", n, err, len(c.want), c.bad)
			}
		})
	}
}

// TestTurnsOfBrokenReader: a transcript that can't be read to its end is not reported as invalid
// JSON.
func TestTurnsOfBrokenReader(t *testing.T) {
	broken := errors.New("broken")
	for _, raw := range []string{"", `[{"role":"user","text":"a"},`, `[]`} {
		if n, err := Count(io.MultiReader(strings.NewReader(raw), iotest.ErrReader(broken))); n != nil || !errors.Is(err, broken) {
			t.Errorf("%q: %v turns, error %v", raw, n, err)
		}
	}
}

func TestTurnTimes(t *testing.T) {
	at := time.Date(2024, 1, 15, 10, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		raw    string
		at     time.Time
		offset float64
	}{
		{`[{"role":"a","text":"t","timestamp":"2024-01-15T10:30:00Z"}]`, at, -1},
		{`[{"role":"a","text":"t","timestamp":"2024-01-15t10:30:00z"}]`, at, -1},
		{`[{"role":"a","text":"t","timestamp":"2024-01-15T13:30:00+03:00","time_in_call_secs":4}]`, at, 4},
		{`[{"role":"a","text":"t","timestamp":1705314600}]`, at, -1},
		{`[{"role":"a","text":"t","time":1705314600000}]`, at, -1},
		{`[{"role":"a","text":"t","timestamp":12.5}]`, time.Time{}, 12.5},
		{`[{"role":"a","text":"t","timestamp":0}]`, time.Time{}, 0},
		{`[{"role":"a","text":"t","timestamp":-3}]`, time.Time{}, -1},
		{`[{"role":"a","text":"t","timestamp":"soon"}]`, time.Time{}, -1},
		{`[{"role":"a","text":"t","timestamp":null}]`, time.Time{}, -1},
	} {
		for turn, err := range Turns(strings.NewReader(c.raw)) {
			if err != nil {
				t.Fatalf("%s: %v", c.raw, err)
			}
			offset := -1.0
			if turn.Offset != nil {
				offset = *turn.Offset
			}
			if !turn.At.Equal(c.at) || offset != c.offset {
				t.Errorf("%s: at %v offset %v, want %v and %v", c.raw, turn.At, offset, c.at, c.offset)
			}
		}
	}
}

func FuzzTurns(f *testing.F) {
	f.Add(`[{"speaker":"agent","text":"Hello","timestamp":"2024-01-15T10:30:00Z"}]`)
	f.Add(`[{"role":"user","content":["a",{"text":"b"}],"timestamp":1e300}]`)
	f.Add(`{"a":1}`)
	f.Fuzz(func(t *testing.T, raw string) {
		for turn, err := range Turns(strings.NewReader(raw)) {
			if err == nil && (turn.Text == "" || turn.Role != RoleAgent && turn.Role != RoleUser) {
				t.Fatalf("a turn without text or with role %q", turn.Role)
			}
		}
	})
}
