package transcript

import (
	"bytes"
	"encoding/json"
	"io"
	"time"
)

const (
	// maxCallTurn bounds the turns that are searched for calls, in bytes: a result can contain a
	// whole document.
	maxCallTurn = 8 << 20
	// maxCalls bounds the calls of one transcript. No conversation has so many. A text of calls
	// only would take many times its size of memory.
	maxCalls = 100_000
)

// Call is one function call of a conversation.
type Call struct {
	Function   string          // never empty
	Parameters json.RawMessage // as in the transcript; {} when there are none
	Result     json.RawMessage // nil when there is none; null when the function returned null
	At         time.Time       // zero when the transcript has no time of day
	Offset     *float64        // seconds into the call; nil when the transcript has none
	hasResult  bool            // a later result belongs to another call
}

// Calls reads a raw transcript to its end and returns its function calls in their order: at most
// 100,000, from turns of at most 8 MiB. A transcript is an array of turns, or an object with such
// an array (see holdsTurns). Any other text, valid JSON or not, has no calls. The error is r's own.
func Calls(r io.Reader) ([]Call, error) {
	s := newScanner(r, maxCallTurn)
	f := &finder{}
	valid := s.turns(f.element, func() bool { return len(f.calls) > 0 }, func() { *f = finder{} }) == nil
	_, more := s.next()
	if err := s.drain(); err != nil {
		return nil, err
	}
	if !valid || more { // it is not one JSON value
		return nil, nil
	}
	return f.calls, nil
}

// turns consumes one value and calls fn with each turn in it, until fn returns an error. In an
// object it reads the first array in which fn found something. When restart is not nil it also
// reads the array with the calls, after calling restart.
func (s *scanner) turns(fn func(element []byte) error, found func() bool, restart func()) error {
	array := func(depth int) error {
		return s.array(depth, func() error {
			if _, ok := s.next(); !ok {
				return errSyntax
			}
			s.start()
			err := s.value(depth + 1)
			element := s.stop()
			if err == nil && element != nil {
				err = fn(element)
			}
			return err
		})
	}
	switch c, _ := s.next(); c {
	case '[':
		return array(0)
	case '{':
		return s.object(0, func(name string) error {
			c, _ := s.next()
			switch withCalls := restart != nil && holdsCalls(name); {
			case c != '[' || !holdsTurns(name) || found() && !withCalls:
				return s.value(1)
			case found():
				restart()
			}
			return array(1)
		})
	}
	return s.value(0)
}

// finder collects calls and their results.
type finder struct {
	calls []Call
	// Indexes of calls. Those that have a result are skipped.
	last      []int
	ids       map[string][]int
	names     map[string][]int
	anonymous map[string][]int // calls without an id, by the function's name
	events    events
}

// element finds the calls and results of one turn.
func (f *finder) element(text []byte) error {
	if !mayCall(text) {
		return nil
	}
	o, ok := parse(text)
	if !ok {
		return nil
	}
	if item, id := o.item(); f.events.first(id) {
		f.turn(item, moment{}, 0)
	}
	return nil
}

// mayCall says whether a turn can have a call, without parsing it: every dialect uses one of these
// words.
func mayCall(text []byte) bool {
	for _, word := range []string{"unction", "ool", "UNCTION", "OOL"} {
		if bytes.Contains(text, []byte(word)) {
			return true
		}
	}
	return false
}

func (f *finder) add(c Call, id string) {
	n := len(f.calls)
	if n >= maxCalls {
		return
	}
	if f.ids == nil {
		f.ids, f.names, f.anonymous = map[string][]int{}, map[string][]int{}, map[string][]int{}
	}
	f.calls = append(f.calls, c)
	if c.hasResult {
		return
	}
	f.last = append(f.last, n)
	f.names[c.Function] = append(f.names[c.Function], n)
	if id == "" {
		f.anonymous[c.Function] = append(f.anonymous[c.Function], n)
	} else {
		f.ids[id] = append(f.ids[id], n)
	}
}

// result sets the result of a call: of the call with its id, else of the first one of its name. A
// result with neither belongs to the last call. A result of a function without a call is added as a
// call.
func (f *finder) result(name, id string, value json.RawMessage, at moment) {
	if value == nil {
		return
	}
	n, found := f.earliest(f.ids, id)
	switch {
	case found:
	case name != "" && id != "": // a call with another id is not meant
		n, found = f.earliest(f.anonymous, name)
	case name != "":
		n, found = f.earliest(f.names, name)
	case id == "":
		n, found = f.latest()
	}
	switch {
	case found:
		f.calls[n].Result, f.calls[n].hasResult = value, true
	case name != "":
		f.add(Call{Function: name, Parameters: noParameters(), Result: value, At: at.time, Offset: at.offset, hasResult: true}, id)
	}
}

// earliest returns the first call under the key that has no result.
func (f *finder) earliest(index map[string][]int, key string) (int, bool) {
	list := index[key]
	for len(list) > 0 && f.calls[list[0]].hasResult {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(index, key)
		return 0, false
	}
	index[key] = list
	return list[0], true
}

// latest returns the last call that has no result.
func (f *finder) latest() (int, bool) {
	for i := len(f.last); i > 0; i-- {
		if n := f.last[i-1]; !f.calls[n].hasResult {
			f.last = f.last[:i]
			return n, true
		}
	}
	f.last = nil
	return 0, false
}

func noParameters() json.RawMessage { return json.RawMessage(`{}`) }
