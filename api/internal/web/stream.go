package web

import (
	"fmt"
	"net/http"
	"strconv"
)

// streamBuffer is how many bytes are collected before they are sent.
const streamBuffer = 64 << 10

// Stream sends an answer of any length piece by piece. It waits for a slow client as long as Pace
// allows, so that no more than its buffer is in memory.
type Stream struct {
	out    *TimedWriter
	buffer []byte
	sent   bool // some bytes were
}

// NewStream begins an answer. The status and the headers go out with the first bytes.
func NewStream(w http.ResponseWriter) *Stream {
	return &Stream{out: NewTimedWriter(w), buffer: make([]byte, 0, streamBuffer)}
}

// Append lets add append to the buffer and sends the buffer when it is full. It gives the number of
// bytes that add appended. Its error is add's, whose bytes are not sent then, or the client's, who
// takes no more.
func (s *Stream) Append(add func(to []byte) ([]byte, error)) (int, error) {
	before := len(s.buffer)
	after, err := add(s.buffer)
	if err != nil {
		return 0, err
	}
	if s.buffer = after; len(after) < streamBuffer {
		return len(after) - before, nil
	}
	return len(after) - before, s.send()
}

// Began says whether some bytes were sent.
func (s *Stream) Began() bool { return s.sent }

func (s *Stream) send() error {
	if len(s.buffer) == 0 {
		return nil
	}
	s.sent = true
	_, err := s.out.Write(s.buffer)
	if s.buffer = s.buffer[:0]; cap(s.buffer) > 4*streamBuffer { // do not keep the memory of one huge record
		s.buffer = make([]byte, 0, streamBuffer)
	}
	return err
}

// Flush sends what was written so far.
func (s *Stream) Flush() error {
	if err := s.send(); err != nil {
		return err
	}
	if err := s.out.Finish(); err != nil {
		return fmt.Errorf("send an answer: %w", err)
	}
	return nil
}

// End sends the rest of the answer. An answer that fits into the buffer gets a Content-Length.
func (s *Stream) End() error {
	if !s.sent {
		s.out.Header().Set("Content-Length", strconv.Itoa(len(s.buffer)))
	}
	return s.Flush()
}

// Abort breaks the connection, so that nobody takes what was sent for a whole answer. It does not
// return.
func Abort() {
	panic(http.ErrAbortHandler) //nolint:forbidigo // the only way that net/http has
}
