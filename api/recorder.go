package api

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

// requestID gives every request an id, and the answer a header with it. The id is the caller's own
// when that is valid.
func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !validRequestID(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(telemetry.WithRequest(r.Context(), id)))
	})
}

// validRequestID says whether a caller's id may be used: 1 to 128 of A-Z a-z 0-9 . _ -.
func validRequestID(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	})
}

// recorder records an answer's status and size, for the log and for metrics.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
}

// begin records the status and gives the answer web.StallTimeout, because a client that reads
// nothing would hold it for ever. A web.TimedWriter gives large answers more.
func (r *recorder) begin(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
		_ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Now().Add(web.StallTimeout)) // fails only where there is no connection
	}
}

// noteClientGone sets the status of a request that got no answer because its client is gone.
func (r *recorder) noteClientGone(request *http.Request) {
	if r.status == 0 && web.ClientGone(request, request.Context().Err()) {
		r.status = web.StatusClientGone
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.begin(http.StatusOK)
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}
