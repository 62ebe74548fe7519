package transcript

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// maxNested is the depth to which the parts of a turn's content are read.
const maxNested = 3

// object is a turn or a part of one: its values by name. Names are as plainName returns them, so
// that tool_calls and toolCalls are the same. Of several values it has the first that is not null.
// A null counts as absent, except as a result.
type object map[string]json.RawMessage

func parse(text []byte) (object, bool) {
	text = bytes.TrimLeft(text, " \t\r\n")
	if len(text) == 0 || text[0] != '{' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	o := object{}
	for d.More() {
		token, err := d.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || d.Decode(&value) != nil {
			return nil, false
		}
		name = plainName(name)
		if isNull(o[name]) {
			o[name] = value
		}
	}
	return o, true
}

// isNull says that a value is null or absent.
func isNull(v json.RawMessage) bool { return len(v) == 0 || v[0] == 'n' }

// plainName returns a name or word in lower case, without underscores, dashes and spaces.
func plainName(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
}

// first returns the first value that is present and not null.
func (o object) first(names ...string) json.RawMessage {
	for _, name := range names {
		if v := o[name]; !isNull(v) {
			return v
		}
	}
	return nil
}

// text returns the first non-empty string.
func (o object) text(names ...string) string {
	for _, name := range names {
		if s := asText(o[name]); s != "" {
			return s
		}
	}
	return ""
}

func asText(v json.RawMessage) string {
	var s string
	if len(v) == 0 || v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}

// id returns the id that a call and its result share.
func (o object) id() string {
	for _, name := range idNames() {
		if s := asText(o[name]); s != "" {
			return s
		}
		if v := o[name]; len(v) > 0 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') {
			return string(v)
		}
	}
	return ""
}

// name returns the name of the called function.
func (o object) name() string {
	if s := o.text("name", "functionname", "toolname", "function", "tool"); s != "" {
		return s
	}
	for _, inner := range o.functions() {
		if s := inner.text("name"); s != "" {
			return s
		}
	}
	return ""
}

// functions returns the objects in which the called function can be described.
func (o object) functions() (list []object) {
	for _, key := range []string{"function", "tool"} {
		if inner, ok := parse(o[key]); ok {
			list = append(list, inner)
		}
	}
	return list
}

// firstOfFunction returns the first value of these names, of the object or of the function in it.
func (o object) firstOfFunction(names ...string) json.RawMessage {
	v := o.first(names...)
	for _, inner := range o.functions() {
		if v == nil {
			v = inner.first(names...)
		}
	}
	return v
}

// arguments returns the function's arguments; nil when the object has none.
func (o object) arguments() json.RawMessage { return o.firstOfFunction(argumentNames()...) }

// result returns the function's result; nil when the object has none.
func (o object) result() json.RawMessage {
	if v := o.first(append(resultNames(), "content", "text", "message", "value")...); v != nil {
		return v
	}
	return o.nullResult()
}

// nullResult returns the null that a function returned; nil when the object has none.
func (o object) nullResult() json.RawMessage {
	for _, name := range resultNames() {
		if v := o[name]; v != nil {
			return v
		}
	}
	return nil
}

// decoded returns the object or array that a string contains as JSON text; any other value as it
// is.
func decoded(v json.RawMessage) json.RawMessage {
	s := strings.TrimSpace(asText(v))
	if s != "" && (s[0] == '{' || s[0] == '[') && json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	return v
}

// moment is the time of a turn.
type moment struct {
	time   time.Time
	offset *float64
}

// turn finds the calls and results of a turn, or of a part of its content.
func (f *finder) turn(o object, at moment, depth int) {
	at = o.moment(at)
	switch kind := o.kind(); {
	case kind == kindCall, kind == kindFunction && (o.arguments() != nil || o.result() == nil):
		f.call(o, at)
	case kind == kindResult, kind == kindFunction:
		f.result(o.name(), o.id(), decoded(o.result()), at)
		return
	case o.text("function", "tool") != "" || !isNull(o["function"]) && o.name() != "":
		f.call(o, at)
	}
	if s := asText(o["functioncall"]); s != "" {
		f.call(object{"name": o["functioncall"], "arguments": o.arguments(), "result": o["result"]}, at)
	}
	for _, key := range callNames() {
		each(o[key], func(part object) { f.call(part, part.moment(at)) })
	}
	for _, key := range turnResultNames() {
		each(o[key], func(part object) { f.result(part.name(), part.id(), decoded(part.result()), part.moment(at)) })
	}
	if depth < maxNested {
		for _, key := range partNames() {
			each(o[key], func(part object) { f.turn(part, at, depth+1) })
		}
	}
}

// each calls fn with the object, or with the objects in the array.
func each(v json.RawMessage, fn func(object)) {
	if len(v) == 0 {
		return
	}
	list := []json.RawMessage{v}
	if v[0] == '[' && json.Unmarshal(v, &list) != nil {
		return
	}
	for _, item := range list {
		if o, ok := parse(item); ok {
			fn(o)
		}
	}
}

// call adds a call, with its result when the object has it.
func (f *finder) call(o object, at moment) {
	name := o.name()
	if name == "" {
		return
	}
	c := Call{Function: name, Parameters: decoded(o.arguments()), At: at.time, Offset: at.offset}
	if len(c.Parameters) == 0 || string(c.Parameters) == `""` {
		c.Parameters = noParameters()
	}
	c.Result = decoded(o.firstOfFunction(resultNames()...))
	c.hasResult = c.Result != nil
	if !c.hasResult { // a null can mean that the result comes later
		c.Result = o.nullResult()
	}
	f.add(c, o.id())
}

// Numbers from these bounds on are Unix seconds, milliseconds and microseconds. Smaller ones are
// seconds into the call: no call lasts 30 years, and none took place before 2001.
const (
	unixFrom      = 1e9
	unixMilliFrom = 1e12
	unixMicroFrom = 1e15
	unixEnd       = 1e17
)

// moment reads the object's time. What the object lacks comes from outer.
func (o object) moment(outer moment) moment {
	m := outer
	timed, offset := false, false
	for _, name := range timeNames() {
		v := o[name]
		if isNull(v) {
			continue
		}
		var n float64
		if s := asText(v); s != "" {
			if t, ok := parseTime(s); ok && !timed {
				m.time, timed = t, true
			}
			continue
		}
		switch {
		case json.Unmarshal(v, &n) != nil || n < 0 || n >= unixEnd:
		case n < unixFrom:
			if !offset {
				m.offset, offset = &n, true
			}
		case !timed:
			m.time, timed = unixTime(n), true
		}
	}
	if !offset && !timed {
		return o.firstWord(m)
	}
	return m
}

// firstWord reads the time of the first word in the turn.
func (o object) firstWord(m moment) moment {
	var words []json.RawMessage
	if v := o["words"]; isNull(v) || v[0] != '[' || json.Unmarshal(v, &words) != nil || len(words) == 0 {
		return m
	}
	word, ok := parse(words[0])
	if !ok {
		return m
	}
	delete(word, "words")
	return word.moment(m)
}

func unixTime(n float64) time.Time {
	switch {
	case n >= unixMicroFrom:
		return time.UnixMicro(int64(n)).UTC()
	case n >= unixMilliFrom:
		return time.UnixMilli(int64(n)).UTC()
	}
	return time.UnixMicro(int64(n * 1e6)).UTC()
}

// parseTime reads a time in the formats that platforms use. A time without a zone is UTC. RFC 3339
// allows t and z in lower case.
func parseTime(s string) (time.Time, bool) {
	s = strings.ToUpper(s)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime} {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC()
			return t, t.Year() >= 1970 && t.Year() <= 9999
		}
	}
	return time.Time{}, false
}
