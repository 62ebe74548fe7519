package transcript

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// show formats a call as one line: name, parameters, result, time.
func show(c Call) string {
	parts := []string{c.Function, string(c.Parameters)}
	if c.Result != nil {
		parts = append(parts, "="+string(c.Result))
	}
	if !c.At.IsZero() {
		parts = append(parts, "@"+c.At.Format(time.RFC3339))
	}
	if c.Offset != nil {
		parts = append(parts, "+"+strconv.FormatFloat(*c.Offset, 'g', -1, 64))
	}
	return strings.Join(parts, " ")
}

func TestCalls(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      []string
	}{
		{"a turn with the call's fields",
			`[{"speaker":"agent","text":"One moment","timestamp":"2024-01-15T10:30:30Z"},
			  {"function":"check_order_status","parameters":{"order_id":"ORD-12345"},"result":{"status":"shipped"},"timestamp":"2024-01-15T10:31:00Z"}]`,
			[]string{`check_order_status {"order_id":"ORD-12345"} ={"status":"shipped"} @2024-01-15T10:31:00Z`}},
		{"an array before the calls",
			`{"transcript":[{"role":"user","content":"which tool"}],"events":[{"type":"tool_call","name":"f"}],"items":[{"type":"tool_call","name":"g"}]}`,
			[]string{`f {}`}},
		{"an array of words and calls after one of calls",
			`{"transcript_object":[{"type":"tool_call","name":"f"}],"transcript_with_tool_calls":[{"type":"tool_call","name":"f"},{"type":"tool_call","name":"g"}]}`,
			[]string{`f {}`, `g {}`}},
		{"arguments as JSON text",
			`[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"find","arguments":"{\"b\":1.50,\"a\":[2]}"}}]}]`,
			[]string{`find {"b":1.50,"a":[2]}`}},
		{"arguments as an object, result later by id",
			`[{"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"x":1}}},{"id":"c2","function":{"name":"f","arguments":{"x":2}}}]},
			  {"role":"tool","tool_call_id":"c2","content":"{\"ok\":2}"},{"role":"tool","tool_call_id":"c1","content":"plain"}]`,
			[]string{`f {"x":1} ="plain"`, `f {"x":2} ={"ok":2}`}},
		{"function_call, result later by name",
			`[{"role":"assistant","function_call":{"name":"g","arguments":"{}"},"timestamp":1705314600},{"role":"function","name":"g","content":"[1, 2]"}]`,
			[]string{`g {} =[1, 2] @2024-01-15T10:30:00Z`}},
		{"items of their own type",
			`{"items":[{"type":"message","role":"user","content":["hi"]},{"id":"item_1","type":"function_call","call_id":"k","name":"h","arguments":"{\"q\":\"a\"}","created_at":1705314600.25},
			  {"id":"item_2","type":"function_call_output","call_id":"k","output":"done","is_error":false}]}`,
			[]string{`h {"q":"a"} ="done" @2024-01-15T10:30:00Z`}},
		{"invocation and result turns",
			`[{"role":"tool_call_invocation","tool_call_id":"t","name":"end_call","arguments":""},{"role":"tool_call_result","tool_call_id":"t","content":"ok"}]`,
			[]string{`end_call {} ="ok"`}},
		{"calls and results in lists, seconds into the call",
			`[{"role":"agent","message":"x","time_in_call_secs":12,"tool_calls":[{"request_id":"r","tool_name":"look","params_as_json":"{\"a\":1}"}],
			   "tool_results":[{"request_id":"r","tool_name":"look","result_value":"{\"b\":2}"}]}]`,
			[]string{`look {"a":1} ={"b":2} +12`}},
		{"camel case", `[{"role":"tool_calls","toolCalls":[{"id":"v","function":{"name":"n","arguments":{"p":1}}}]},{"role":"tool_call_result","toolCallId":"v","name":"n","result":"R"}]`,
			[]string{`n {"p":1} ="R"`}},
		{"parts of the content",
			`[{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"u","name":"calc","input":{"n":1e2}}]},
			  {"role":"user","content":[{"type":"tool_result","tool_use_id":"u","content":[{"type":"text","text":"100"}]}]}]`,
			[]string{`calc {"n":1e2} =[{"type":"text","text":"100"}]`}},
		{"parts", `[{"role":"model","parts":[{"functionCall":{"name":"p","args":{"z":1,"a":2}}}]},{"role":"user","parts":[{"functionResponse":{"name":"p","response":{"r":1}}}]}]`,
			[]string{`p {"z":1,"a":2} ={"r":1}`}},
		{"a list of calls on a turn", `[{"speaker":"agent","text":"x","functionCalls":[{"function":"a","parameters":{},"result":{"n":1}},{"name":"b","arguments":{"k":null}}]}]`,
			[]string{`a {} ={"n":1}`, `b {"k":null}`}},
		{"a function's turn with its parameters", `[{"role":"function","name":"a","arguments":{"x":1},"result":true}]`, []string{`a {"x":1} =true`}},
		{"a function's turn with its name alone", `[{"speaker":"function","function":"end_call","timestamp":"2024-01-15T12:31:00+02:00"}]`,
			[]string{`end_call {} @2024-01-15T10:31:00Z`}},
		{"a result without its call", `[{"role":"function","name":"a","content":"5"}]`, []string{`a {} ="5"`}},
		{"a nameless result without its call", `[{"role":"tool","tool_call_id":"x","content":"5"}]`, nil},
		{"a nameless result goes to the last call", `[{"function":"a"},{"function":"b"},{"type":"tool_result","content":"1"},{"type":"tool_result","content":"2"}]`,
			[]string{`a {} ="2"`, `b {} ="1"`}},
		{"results by name in their order", `[{"function":"a"},{"function":"a"},{"role":"function","name":"a","content":"1"},{"role":"function","name":"a","content":"2"}]`,
			[]string{`a {} ="1"`, `a {} ="2"`}},
		{"a result of another id", `[{"type":"function_call","call_id":"1","name":"a"},{"type":"function_call_output","call_id":"2","output":"x"}]`, []string{`a {}`}},
		{"text arguments that are no JSON", `[{"function":"a","arguments":"now","result":null}]`, []string{`a "now" =null`}},
		{"a null that a result follows, and one that was given", `[{"tool_calls":[{"id":"1","name":"a","result":null}]},{"role":"tool","tool_call_id":"1","content":"x"},
			{"function":"b"},{"role":"function","name":"b","result":null}]`, []string{`a {} ="x"`, `b {} =null`}},
		{"said, not called", `[{"role":"user","text":"call the function check(1) with a tool"},{"role":"agent","text":"x","function":null,"tool_calls":[]},{"function":{}},{"tool_calls":"x"},"tool",5]`, nil},
		{"a turn's own time before its parent's", `[{"timestamp":"2024-01-15T10:31:00Z","tool_calls":[{"name":"a","timestamp":"2024-01-15T10:31:05"}]}]`, []string{`a {} @2024-01-15T10:31:05Z`}},
		{"times that are none", `[{"function":"a","timestamp":"soon"},{"function":"b","timestamp":-1},{"function":"c","timestamp":1e300},{"function":"d","timestamp":"0000-01-01T00:00:00+05:00"}]`,
			[]string{`a {}`, `b {}`, `c {}`, `d {}`}},
		{"other objects", `{"metadata":[{"function":"no"}],"turns":[{"function":"yes"}],"messages":[{"function":"again"}]}`, []string{`yes {}`}},
		{"not an array", `{"function":"a"}`, nil},
		{"cut", `[{"function":"a"},`, nil},
		{"a tail", `[{"function":"a"}] x`, nil},
		{"not JSON", `agent: hello`, nil},
		{"nothing", ``, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.raw), iotest.OneByteReader(strings.NewReader(c.raw))} {
				calls, err := Calls(r)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, call := range calls {
					got = append(got, show(call))
				}
				if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
					t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			}
		})
	}
}

// TestCallsReadsAll: any text is read to its end, and the only error is the reader's own.
func TestCallsReadsAll(t *testing.T) {
	for _, raw := range []string{`[{"a":1}]`, `{ x` + strings.Repeat("y", 3*bufferBytes), `[1,2` + strings.Repeat(" ", 3*bufferBytes)} {
		var copied bytes.Buffer
		if _, err := Calls(io.TeeReader(strings.NewReader(raw), &copied)); err != nil || copied.String() != raw {
			t.Fatalf("read %d of %d bytes, error %v", copied.Len(), len(raw), err)
		}
	}
	broken := errors.New("broken")
	for _, raw := range []string{``, `[{"function":"a"}`, `nonsense`} {
		if _, err := Calls(io.MultiReader(strings.NewReader(raw), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestCallsBounds(t *testing.T) {
	long := `[{"function":"long","result":"` + strings.Repeat("x", maxCallTurn) + `"},{"function":"short"}]`
	calls, err := Calls(strings.NewReader(long))
	if err != nil || len(calls) != 1 || calls[0].Function != "short" {
		t.Fatalf("%d calls, error %v", len(calls), err)
	}
	many := "[" + strings.Repeat(`{"function":"f"},`, maxCalls+5) + `{"role":"tool","content":"r"}]`
	if calls, err = Calls(strings.NewReader(many)); err != nil || len(calls) != maxCalls || string(calls[maxCalls-1].Result) != `"r"` {
		t.Fatalf("%d calls, error %v", len(calls), err)
	}
	for depth, valid := range map[int]bool{maxDepth: true, maxDepth + 1: false} {
		text := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if json.Valid([]byte(text)) != valid || (newScanner(strings.NewReader(text), 0).value(0) == nil) != valid {
			t.Fatalf("depth %d is not as encoding/json has it", depth)
		}
	}
}

func FuzzCalls(f *testing.F) {
	for _, seed := range []string{
		`[{"function":"a","parameters":{"x":1},"result":"r","timestamp":"2024-01-15T10:31:00Z"}]`,
		`[{"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"ok"}]`,
		`{"items":[{"type":"function_call","call_id":1,"name":"n"},{"type":"function_call_output","call_id":1,"output":[]}]}`,
		`[{"content":[{"content":[{"content":[{"content":[{"function":"deep"}]}]}]}]}]`,
		`[-0.5e+10, "\u00e9\ud800", true, null]`, `[01]`, "[\"\x01\"]", `{"a":1,}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s := newScanner(strings.NewReader(raw), 1<<20)
		err := s.value(0)
		if _, more := s.next(); more && err == nil {
			err = errSyntax
		}
		if valid := json.Valid([]byte(raw)); (err == nil) != valid {
			t.Fatalf("%q is valid: %v, the scanner says %v", raw, valid, err)
		}
		calls, err := Calls(strings.NewReader(raw))
		if err != nil || len(calls) > 0 && !json.Valid([]byte(raw)) {
			t.Fatalf("%d calls, error %v", len(calls), err)
		}
		for _, c := range calls {
			if c.Function == "" || !json.Valid(c.Parameters) || c.Result != nil && !json.Valid(c.Result) {
				t.Fatalf("call %q", show(c))
			}
		}
	})
}

func BenchmarkCalls(b *testing.B) {
	turn := `{"speaker":"agent","text":"` + strings.Repeat("what was said ", 8) + `","timestamp":"2024-01-15T10:31:00Z"},`
	raw := "[" + strings.Repeat(turn, 50_000) + `{"function":"f","parameters":{}}]`
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if calls, err := Calls(strings.NewReader(raw)); err != nil || len(calls) != 1 {
			b.Fatal(len(calls), err)
		}
	}
}
