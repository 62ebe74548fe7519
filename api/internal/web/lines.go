package web

import (
	"fmt"
	"net/http"
)

// lineBuffer is how much is gathered before it is sent, in bytes.
const lineBuffer = 64 << 10

// Lines sends an answer of any length piece by piece. It waits for the reader, each time for so
// long at most as an answer may stall, so that nothing but its buffer is held.
type Lines struct {
	out    *patient
	buffer []byte
}

// NewLines begins an answer: the status and the headers are sent with the first flush.
func NewLines(w http.ResponseWriter) *Lines {
	return &Lines{out: &patient{ResponseWriter: w, control: http.NewResponseController(w)}, buffer: make([]byte, 0, lineBuffer)}
}

// Write implements io.Writer. Its error says that the client takes no more.
func (l *Lines) Write(b []byte) (int, error) {
	if len(l.buffer)+len(b) > lineBuffer {
		if err := l.send(); err != nil {
			return 0, err
		}
	}
	if len(b) >= lineBuffer {
		return l.out.Write(b)
	}
	l.buffer = append(l.buffer, b...)
	return len(b), nil
}

func (l *Lines) send() error {
	if len(l.buffer) == 0 {
		return nil
	}
	_, err := l.out.Write(l.buffer)
	l.buffer = l.buffer[:0]
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

// Break ends the connection, so that nobody takes what was sent for a whole answer. It does not
// return.
func Break() {
	panic(http.ErrAbortHandler) //nolint:forbidigo // net/http knows no other way
}
