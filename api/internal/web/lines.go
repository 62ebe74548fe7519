package web

import (
	"fmt"
	"net/http"
	"strconv"
)

// lineBuffer is how much is gathered before it is sent, in bytes.
const lineBuffer = 64 << 10

// Lines sends an answer of any length piece by piece. It waits for the reader, each time for so
// long at most as an answer may stall, so that nothing but its buffer is held.
type Lines struct {
	out    *patient
	buffer []byte
	begun  bool // something was sent
}

// NewLines begins an answer: the status and the headers are sent with the first flush.
func NewLines(w http.ResponseWriter) *Lines {
	return &Lines{out: &patient{ResponseWriter: w, control: http.NewResponseController(w)}, buffer: make([]byte, 0, lineBuffer)}
}

// Append lets add append to what is gathered, and sends it when it is enough. It gives how many
// bytes came. Its error is add's, whose bytes are not sent then, or says that the client takes no more.
func (l *Lines) Append(add func(to []byte) ([]byte, error)) (int, error) {
	before := len(l.buffer)
	after, err := add(l.buffer)
	if err != nil {
		return 0, err
	}
	if l.buffer = after; len(after) < lineBuffer {
		return len(after) - before, nil
	}
	return len(after) - before, l.send()
}

func (l *Lines) send() error {
	if len(l.buffer) == 0 {
		return nil
	}
	l.begun = true
	_, err := l.out.Write(l.buffer)
	if l.buffer = l.buffer[:0]; cap(l.buffer) > 4*lineBuffer { // one huge line is no reason to hold so much for good
		l.buffer = make([]byte, 0, lineBuffer)
	}
	return err
}

// Flush sends what was written so far.
func (l *Lines) Flush() error {
	if err := l.send(); err != nil {
		return err
	}
	if err := l.out.finish(); err != nil {
		return fmt.Errorf("send an answer: %w", err)
	}
	return nil
}

// End is Flush for the whole answer, whose length is told where nothing was sent yet.
func (l *Lines) End() error {
	if !l.begun {
		l.out.Header().Set("Content-Length", strconv.Itoa(len(l.buffer)))
	}
	return l.Flush()
}

// Break ends the connection, so that nobody takes what was sent for a whole answer. It does not
// return.
func Break() {
	panic(http.ErrAbortHandler) //nolint:forbidigo // net/http knows no other way
}
