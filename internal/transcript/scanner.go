package transcript

import (
	"errors"
	"io"
)

const (
	bufferBytes = 64 << 10
	// maxDepth is the nesting that encoding/json allows.
	maxDepth = 10_000
)

// errSyntax is the error for text that is not JSON. No caller needs the position.
var errSyntax = errors.New("not valid JSON")

// scanner reads one JSON text by the rules of encoding/json. It keeps a buffer of it and the part
// that is recorded.
type scanner struct {
	in      io.Reader
	buffer  []byte
	at, end int
	readErr error // of in; io.EOF at its end

	recording bool
	from      int // start, in the buffer, of recorded bytes that are not in record yet
	record    []byte
	most      int // maximum of recorded bytes
	overflow  bool
}

func newScanner(in io.Reader, most int) *scanner {
	return &scanner{in: in, buffer: make([]byte, bufferBytes), most: most}
}

// fill reads more once the buffer is used up; false at the end.
func (s *scanner) fill() bool {
	s.appendRecord()
	s.at, s.end, s.from = 0, 0, 0
	for s.end == 0 && s.readErr == nil {
		s.end, s.readErr = s.in.Read(s.buffer)
	}
	return s.end > 0
}

// appendRecord appends the bytes read since from to the record.
func (s *scanner) appendRecord() {
	if !s.recording || s.overflow {
		return
	}
	if len(s.record)+s.at-s.from > s.most {
		s.overflow = true
		s.record = nil // frees the memory: large turns are rare
		return
	}
	s.record = append(s.record, s.buffer[s.from:s.at]...)
}

// start records from here.
func (s *scanner) start() {
	s.recording, s.overflow, s.from, s.record = true, false, s.at, s.record[:0]
}

// stop returns what was recorded, nil when it was more than the maximum. It is valid until the next
// start.
func (s *scanner) stop() []byte {
	s.appendRecord()
	s.recording = false
	if s.overflow {
		return nil
	}
	return s.record
}

// drain reads in to its end. It returns in's error, except io.EOF.
func (s *scanner) drain() error {
	s.recording = false
	for s.fill() {
		continue
	}
	if errors.Is(s.readErr, io.EOF) {
		return nil
	}
	return s.readErr
}

// peek returns the next byte without consuming it; false at the end.
func (s *scanner) peek() (byte, bool) {
	if s.at == s.end && !s.fill() {
		return 0, false
	}
	return s.buffer[s.at], true
}

// next returns the next byte that is no white space, without consuming it.
func (s *scanner) next() (byte, bool) {
	for {
		c, ok := s.peek()
		if !ok || c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, ok
		}
		s.at++
	}
}

// literal consumes exactly the text.
func (s *scanner) literal(text string) error {
	for i := range len(text) {
		if c, ok := s.peek(); !ok || c != text[i] {
			return errSyntax
		}
		s.at++
	}
	return nil
}

// value consumes one value.
func (s *scanner) value(depth int) error {
	c, ok := s.next()
	switch {
	case !ok:
		return errSyntax
	case c == '{':
		return s.object(depth, func(string) error { return s.value(depth + 1) })
	case c == '[':
		return s.array(depth, func() error { return s.value(depth + 1) })
	case c == '"':
		_, err := s.text(0)
		return err
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.number()
}

// object consumes an object. each consumes one member's value.
func (s *scanner) object(depth int, each func(name string) error) error {
	const maxName = 64 // no name that matters is longer
	return s.list(depth, '{', '}', func() error {
		if c, ok := s.next(); !ok || c != '"' {
			return errSyntax
		}
		name, err := s.text(maxName)
		if err != nil {
			return err
		}
		if c, ok := s.next(); !ok || c != ':' {
			return errSyntax
		}
		s.at++
		return each(name)
	})
}

// array consumes an array. each consumes one element.
func (s *scanner) array(depth int, each func() error) error { return s.list(depth, '[', ']', each) }

func (s *scanner) list(depth int, open, end byte, each func() error) error {
	if depth >= maxDepth {
		return errSyntax
	}
	if err := s.literal(string(open)); err != nil {
		return err
	}
	if c, ok := s.next(); ok && c == end {
		s.at++
		return nil
	}
	for {
		if err := each(); err != nil {
			return err
		}
		c, ok := s.next()
		if !ok || c != end && c != ',' {
			return errSyntax
		}
		s.at++
		if c == end {
			return nil
		}
	}
}

// text consumes a string and returns up to most bytes of it, with its escapes.
func (s *scanner) text(most int) (string, error) {
	s.at++ // the quote
	var spelled []byte
	for {
		c, ok := s.peek()
		if !ok || c < ' ' {
			return "", errSyntax
		}
		s.at++
		switch c {
		case '"':
			return string(spelled), nil
		case '\\':
			if err := s.escape(); err != nil {
				return "", err
			}
		}
		if len(spelled) < most {
			spelled = append(spelled, c)
		}
		if most == 0 {
			s.plain()
		}
	}
}

// plain consumes the bytes of a string, up to the next special one in the buffer.
func (s *scanner) plain() {
	rest := s.buffer[s.at:s.end]
	for i, c := range rest {
		if c == '"' || c == '\\' || c < ' ' {
			s.at += i
			return
		}
	}
	s.at = s.end
}

// escape consumes what follows a backslash.
func (s *scanner) escape() error {
	c, ok := s.peek()
	if !ok {
		return errSyntax
	}
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			c, ok := s.peek()
			if !ok || !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return errSyntax
			}
			s.at++
		}
		return nil
	}
	return errSyntax
}

// number consumes a number.
func (s *scanner) number() error {
	if c, ok := s.peek(); ok && c == '-' {
		s.at++
	}
	if c, ok := s.peek(); ok && c == '0' {
		s.at++
	} else if err := s.digits(); err != nil {
		return err
	}
	if c, ok := s.peek(); ok && c == '.' {
		s.at++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if c, ok := s.peek(); ok && (c == 'e' || c == 'E') {
		s.at++
		if c, ok := s.peek(); ok && (c == '+' || c == '-') {
			s.at++
		}
		return s.digits()
	}
	return nil
}

// digits consumes at least one digit.
func (s *scanner) digits() error {
	found := false
	for {
		c, ok := s.peek()
		if !ok || c < '0' || c > '9' {
			break
		}
		s.at++
		found = true
	}
	if !found {
		return errSyntax
	}
	return nil
}
