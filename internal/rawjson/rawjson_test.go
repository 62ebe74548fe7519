package rawjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

var texts = []string{
	`{}`, ` { } `, `{"a":1}`, "{ \"a\" :\t[1, {\"b\": \"} ]\\\"\"}] ,\n\"c\":null}\r", `{"":""}`, `{"a\"b":"\\","c":"\\\""}`, `{"\u0061":-1.50e+3,"é":"漢🙂"}`,
	`{"a":true,"a":false}`, `{"a":{"b":{"c":[[],[{}]]}}}`, `[]`, `"x"`, `1`, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":}`, `{"a":[`, `{"a":"\`, `{"a":1,`, `{a:1}`, ``, ` `, `}`, `{"a":1]`,
	"\u2028", "a\x00b", "\xff", `a"b\c<d>&`,
}

// FuzzMembers compares Members with encoding/json. For damaged texts Members must only end.
func FuzzMembers(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := map[string]string{}
		var failed error
		for m, err := range Members(text) {
			if failed = err; err != nil {
				break
			}
			if string(m.Whole[:len(m.Name)]) != string(m.Name) || !bytes.HasSuffix(m.Whole, m.Value) {
				t.Errorf("%q: name %q, value %q, whole %q", text, m.Name, m.Value, m.Whole)
			}
			var name string
			if json.Unmarshal(m.Name, &name) == nil {
				if utf8.Valid(m.Name) && !m.Is(name) || m.Is(name+"x") {
					t.Errorf("%q: %q is not its own name", text, name)
				}
				got[name] = string(m.Value)
			}
		}
		var want map[string]json.RawMessage
		if !json.Valid(text) {
			return
		}
		if json.Unmarshal(text, &want) != nil || want == nil {
			if failed == nil {
				t.Errorf("%q: not an object, and no error", text)
			}
			return
		}
		if failed != nil || len(got) != len(want) {
			t.Errorf("%q: %v, %q", text, failed, got)
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Errorf("%q: %q is %q", text, name, got[name])
			}
		}
	})
}

func FuzzAppendValue(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := AppendValue([]byte("before"), value)
		if err != nil && string(got) != "before" {
			t.Errorf("%q: %v, and %q", value, err, got)
		}
		if !json.Valid(value) {
			return
		}
		want := bytes.NewBufferString("before")
		if json.Compact(want, value) != nil || err != nil || string(got) != want.String() {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want strings.Builder
		want.WriteString("before")
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendString([]byte("before"), s)) + "\n"; got != want.String() {
			t.Errorf("%q: %s", s, got)
		}
	})
}

// TestDamaged: an object that is cut anywhere is an error.
func TestDamaged(t *testing.T) {
	whole := `{"a":[1,{"b":"x\"y"}],"c":"d"}`
	for n := range len(whole) {
		var failed error
		for _, err := range Members([]byte(whole[:n])) {
			failed = err
		}
		if _, err := AppendValue(nil, []byte(whole[:n])); failed == nil || err == nil {
			t.Errorf("%s: %v, %v", whole[:n], failed, err)
		}
	}
	for _, text := range []string{`{} x`, `1 2`, ` `} {
		if _, err := AppendValue(nil, []byte(text)); err == nil {
			t.Errorf("%q was taken for one value", text)
		}
	}
}

// FuzzMerge compares a merge with encoding/json. A repeated merge must change nothing.
func FuzzMerge(f *testing.F) {
	for _, s := range [][2]string{{`{"a":1,"b":2}`, `{"b":3,"c":null}`}, {`{ "\u0061" : 1 }`, `{"a":1}`}, {`{}`, `{}`}, {`{"a":1.0}`, `{"a":1}`}, {`{"a"`, `{`}} {
		f.Add([]byte(s[0]), []byte(s[1]))
	}
	f.Fuzz(func(t *testing.T, old, next []byte) {
		told := 0
		merged, err := Merge(old, next, func(_ string, before, after []byte) {
			if told++; bytes.Equal(before, after) {
				t.Errorf("%s is told as replaced by itself", before)
			}
		})
		var was, more, want, got map[string]json.RawMessage
		if !utf8.Valid(old) || !utf8.Valid(next) || json.Unmarshal(old, &was) != nil || was == nil || json.Unmarshal(next, &more) != nil || more == nil {
			return
		}
		_ = json.Unmarshal(old, &want)
		differing := 0
		for name, value := range more {
			if before, exists := want[name]; exists && !bytes.Equal(before, value) {
				differing++
			}
			want[name] = value
		}
		if err != nil || json.Unmarshal(merged, &got) != nil || len(got) != len(want) {
			t.Fatalf("%s and %s: %s, %v", old, next, merged, err)
		}
		for name, value := range want {
			if !bytes.Equal(got[name], value) {
				t.Errorf("%s and %s: %q is %s", old, next, name, got[name])
			}
		}
		if again, err := Merge(merged, next, nil); err != nil || !bytes.Equal(again, merged) {
			t.Errorf("%s and %s once more: %s, %v", merged, next, again, err)
		}
		if told < differing {
			t.Errorf("%s and %s: %d of %d values told as replaced", old, next, told, differing)
		}
	})
}
