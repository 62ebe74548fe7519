package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/callvault/callvault/api/internal/web"
)

const (
	// bodyTimeout is how long a body may take that is bounded in size.
	bodyTimeout = 30 * time.Second
	// lingerTimeout is how long a connection stays after the answer to a body that was not read, so
	// that the answer is not lost to a caller that still sends.
	lingerTimeout = 2 * time.Second
)

// patience bounds how long bodies may take. net/http has one limit for all requests of a listener,
// and streams may take hours.
func patience(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		b := &body{ReadCloser: r.Body, control: http.NewResponseController(w)}
		b.until(time.Now().Add(bodyTimeout))
		r.Body = b
		p := &parting{ResponseWriter: w, body: b}
		next.ServeHTTP(p, r)
		p.linger(r)
	})
}

// body is a request's body whose time is bounded.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	pace    *web.Pace // of a stream; nil while the whole body has one deadline
	begun   bool
	ended   bool // read to its end, or as far as it comes
}

// until sets when the connection gives up waiting. Where there is no connection, nobody waits.
func (b *body) until(at time.Time) { _ = b.control.SetReadDeadline(at) }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.begun = true
	if b.ended || b.pace == nil {
		return b.end(b.ReadCloser.Read(p))
	}
	start := time.Now()
	b.until(start.Add(b.pace.Left()))
	n, err := b.ReadCloser.Read(p)
	b.pace.Passed(n, time.Since(start))
	return b.end(n, err)
}

// end takes the deadline away with the last byte: net/http goes on reading, to notice a caller that
// goes away, and would take a deadline that passes for that.
func (b *body) end(n int, err error) (int, error) {
	if errors.Is(err, io.EOF) && !b.ended {
		b.ended = true
		b.until(time.Time{})
	}
	return n, err
}

// stream lets a body take as long as it wants while it keeps its pace.
func stream(r *http.Request) {
	if b, ok := r.Body.(*body); ok {
		b.pace = &web.Pace{}
		b.until(time.Time{})
	}
}

// parting answers at once while a body is unread, and ends the connection soon after: net/http would wait
// for the body first.
type parting struct {
	http.ResponseWriter
	body  *body
	begun bool
}

// Unwrap is for http.ResponseController.
func (p *parting) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *parting) WriteHeader(status int) {
	if p.begun = p.begun || status >= http.StatusOK; p.begun && !p.body.ended {
		p.Header().Set("Connection", "close")
		p.body.until(time.Now().Add(lingerTimeout))
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *parting) Write(b []byte) (int, error) {
	if !p.begun {
		p.WriteHeader(http.StatusOK)
	}
	return p.ResponseWriter.Write(b)
}

// linger hands the answer out and takes what still comes of the body, until the connection's time is over. To
// close it with bytes that nobody read would take the answer away from a caller that reads only when all is sent.
func (p *parting) linger(r *http.Request) {
	waits := r.Header.Get("Expect") != "" && !p.body.begun // for a word that it may send, which is not said any more
	if !p.begun || p.body.ended || waits {
		return
	}
	if p.body.control.Flush() == nil {
		_, _ = io.Copy(io.Discard, p.body.ReadCloser) // that it breaks off changes nothing
	}
}

// Flush is for streams that ask for it the old way.
func (p *parting) Flush() {
	if f, ok := p.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
