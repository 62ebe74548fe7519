package transcript

import (
	"bytes"
	"encoding/json"
	"io"
	"time"
)

const (
	// maxCallTurn bounds the turns that are searched for calls, in bytes: a result can hold a whole
	// document.
	maxCallTurn = 8 << 20
	// maxCalls bounds what is listed of one transcript: no conversation has so many, and a text made
	// of nothing else would take many times its own size.
	maxCalls = 100_000
)

// Call is one function call of a conversation.
type Call struct {
	Function   string          // never empty
	Parameters json.RawMessage // as they were given; {} when there are none
	Result     json.RawMessage // nil when there is none; null when that was given
	At         time.Time       // zero when the transcript tells no time of day
	Offset     *float64        // seconds into the call; nil when the transcript does not tell
	settled    bool            // it has its result; a later one belongs to another call
}

// Calls reads a raw transcript to its end and gives the function calls in it, in their order: at
// most 100,000, of turns of at most 8 MiB. A transcript is an array of turns, or an object with such
// an array (see holdsTurns); any other text, valid JSON or not, holds none. The error is r's own.
func Calls(r io.Reader) ([]Call, error) {
	s := newScanner(r, maxCallTurn)
	f := &finder{}
	valid := s.turns(f.element, func() bool { return len(f.calls) > 0 }, func() { *f = finder{} }) == nil
	_, more := s.next()
	if err := s.drain(); err != nil {
		return nil, err
	}
	if !valid || more { // what is not one JSON value holds no call
		return nil, nil
	}
	return f.calls, nil
}

// turns passes one value and gives each turn in it to fn, whose error ends it. Of an object these are the
// turns of its first array in which something was found, and, after again, which may be nil, those of
// its array with the calls.
func (s *scanner) turns(fn func(element []byte) error, found func() bool, again func()) error {
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
			switch richer := again != nil && holdsCalls(name); {
			case c != '[' || !holdsTurns(name) || found() && !richer:
				return s.value(1)
			case found():
				again()
			}
			return array(1)
		})
	}
	return s.value(0)
}

// finder collects calls and brings results to them.
type finder struct {
	calls []Call
	// Indexes of calls, of which those that have a result are passed over.
	last      []int
	ids       map[string][]int
	names     map[string][]int
	anonymous map[string][]int // by the function's name, those without an id
	events    events
}

// element looks into one turn.
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

// mayCall spares the parsing of what is merely said: every shape has one of these words in it.
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
	if c.settled {
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

// result gives a value to the call that it answers: the one with its id, else the first of its
// name, else, for a value with neither, the last one. A result that names a function of which no
// call is known stands for one.
func (f *finder) result(name, id string, value json.RawMessage, at moment) {
	if value == nil {
		return
	}
	n, found := f.earliest(f.ids, id)
	switch {
	case found:
	case name != "" && id != "": // not a call that has another id
		n, found = f.earliest(f.anonymous, name)
	case name != "":
		n, found = f.earliest(f.names, name)
	case id == "":
		n, found = f.latest()
	}
	switch {
	case found:
		f.calls[n].Result, f.calls[n].settled = value, true
	case name != "":
		f.add(Call{Function: name, Parameters: noParameters(), Result: value, At: at.time, Offset: at.offset, settled: true}, id)
	}
}

// earliest gives the first call under the key that has no result.
func (f *finder) earliest(index map[string][]int, key string) (int, bool) {
	list := index[key]
	for len(list) > 0 && f.calls[list[0]].settled {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(index, key)
		return 0, false
	}
	index[key] = list
	return list[0], true
}

// latest gives the last call that has no result.
func (f *finder) latest() (int, bool) {
	for i := len(f.last); i > 0; i-- {
		if n := f.last[i-1]; !f.calls[n].settled {
			f.last = f.last[:i]
			return n, true
		}
	}
	f.last = nil
	return 0, false
}

func noParameters() json.RawMessage { return json.RawMessage(`{}`) }
