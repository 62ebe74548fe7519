package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/callvault/callvault/api/internal/web"
)

const (
	// bodyTimeout is how long a body of bounded size may take.
	bodyTimeout = 30 * time.Second
	// lingerTimeout is how long the rest of a body is read after the answer to it was sent.
	lingerTimeout = 2 * time.Second
)

// bodyDeadlines bounds how long bodies may take, and answers early when a body is not read to its
// end. net/http has one limit for all requests of a listener, but some bodies may stream for hours.
func bodyDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		b := &timedBody{ReadCloser: r.Body, control: http.NewResponseController(w)}
		b.setDeadline(time.Now().Add(bodyTimeout))
		r.Body = b
		e := &earlyResponse{ResponseWriter: w, body: b}
		next.ServeHTTP(e, r)
		e.linger(r)
	})
}

// streamBody lets the body of a request take any time, as long as it keeps web.Pace.
func streamBody(r *http.Request) {
	if b, ok := r.Body.(*timedBody); ok {
		b.pace = &web.Pace{}
		b.setDeadline(time.Time{})
	}
}

// timedBody is a request's body with a deadline.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	pace    *web.Pace // of a stream; nil while the whole body has one deadline
	read    bool      // somebody began to read it
	ended   bool      // it was read to its end
}

// setDeadline sets the connection's read deadline. It fails only where there is no connection.
func (b *timedBody) setDeadline(at time.Time) { _ = b.control.SetReadDeadline(at) }

func (b *timedBody) Read(p []byte) (int, error) {
	b.read = true
	start := time.Now()
	timed := b.pace != nil && !b.ended
	if timed {
		b.setDeadline(start.Add(b.pace.Left()))
	}
	n, err := b.ReadCloser.Read(p)
	if timed {
		b.pace.Count(n, time.Since(start))
	}
	// At the end the deadline is removed. net/http reads on to notice that the caller goes away,
	// and a deadline that passes then would look the same.
	if errors.Is(err, io.EOF) && !b.ended {
		b.ended = true
		b.setDeadline(time.Time{})
	}
	return n, err
}

// earlyResponse sends an answer at once although the body is not read to its end, and closes the
// connection soon after. net/http would read the rest of the body before it sends the answer.
type earlyResponse struct {
	http.ResponseWriter
	body        *timedBody
	wroteHeader bool
}

// Unwrap is for http.ResponseController.
func (e *earlyResponse) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e *earlyResponse) WriteHeader(status int) {
	if e.wroteHeader = e.wroteHeader || status >= http.StatusOK; e.wroteHeader && !e.body.ended {
		e.Header().Set("Connection", "close")
		e.body.setDeadline(time.Now().Add(lingerTimeout))
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e *earlyResponse) Write(b []byte) (int, error) {
	if !e.wroteHeader {
		e.WriteHeader(http.StatusOK)
	}
	return e.ResponseWriter.Write(b)
}

// linger is a lingering close: it sends the answer, then reads the rest of the body until the
// deadline. If the connection were closed with unread bytes, the answer could be lost to a caller
// that reads it only after it has sent everything.
func (e *earlyResponse) linger(r *http.Request) {
	// This caller waits for 100 Continue before it sends the body, and did not get it.
	waits := r.Header.Get("Expect") != "" && !e.body.read
	if !e.wroteHeader || e.body.ended || waits {
		return
	}
	if e.body.control.Flush() == nil {
		_, _ = io.Copy(io.Discard, e.body.ReadCloser) // the caller may end it at any time
	}
}
