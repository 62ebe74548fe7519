package web

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// TimedWriter gives up on a client that reads more slowly than Pace allows.
type TimedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	size    int64 // of the whole Content; 0 for other answers
	limiter *DownloadLimiter
	share   *share // what the answer may lose to others; else nil
	pace    Pace
	err     error
}

// NewTimedWriter makes a TimedWriter over w. Finish must be called at the end of the answer.
func NewTimedWriter(w http.ResponseWriter) *TimedWriter {
	t := &TimedWriter{ResponseWriter: w, control: http.NewResponseController(w)}
	if held, ok := w.(heldWriter); ok {
		t.share = &held.hold.share
	}
	return t
}

// Unwrap is for http.ResponseController.
func (t *TimedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Write sends b in pieces, each of which has the time that Pace leaves.
func (t *TimedWriter) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		var sent int
		sent, err = t.writePiece(b[n:min(len(b), n+paceBytes)])
		n += sent
	}
	return n, err
}

func (t *TimedWriter) writePiece(b []byte) (int, error) {
	start := time.Now()
	if err := t.control.SetWriteDeadline(start.Add(t.pace.Left())); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	// After the deadline is set, so that a later loss ends the Write.
	if err := t.share.wait(start.Add(-t.pace.spent), t.interrupt); err != nil {
		t.err = err
		return 0, err
	}
	n, err := t.ResponseWriter.Write(b)
	t.share.waited()
	t.pace.Count(n, time.Since(start))
	if err != nil {
		t.err = fmt.Errorf("%w: %w", errClientGone, err)
	}
	return n, err
}

// interrupt ends a Write that waits for the client.
func (t *TimedWriter) interrupt() { _ = t.control.SetWriteDeadline(time.Now()) }

// copySize is how much is copied at a time, in bytes. With the 32 KiB of io.Copy, system calls take
// half of the time of a download.
const copySize = 128 << 10

// ReadFrom is what io.Copy calls. It goes through Write, so that the client's pace is measured.
func (t *TimedWriter) ReadFrom(r io.Reader) (int64, error) {
	buffer, release := t.limiter.buffer(cmp.Or(t.size, copySize))
	defer release()
	return io.CopyBuffer(struct{ io.Writer }{t}, r, buffer)
}

// Finish sends what is buffered. What net/http sends after it, the end of a chunked answer, has
// StallTimeout.
func (t *TimedWriter) Finish() error {
	if err := t.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	if err := t.control.SetWriteDeadline(time.Now().Add(StallTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
