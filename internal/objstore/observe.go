package objstore

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Observed is one request to the store. Each try is a request.
type Observed struct {
	Operation string        // get, head, put, upload_part, …
	Outcome   string        // 2xx, 3xx, 4xx, 5xx, canceled (by the caller) or no_answer
	Took      time.Duration // from the request's first byte to the answer's first byte
}

// observer reports every request.
type observer struct {
	next   *http.Transport
	report func(Observed)
}

// observed wraps t when Observe is set.
func (c Config) observed(t *http.Transport) http.RoundTripper {
	if c.Observe == nil {
		return t
	}
	return observer{next: t, report: c.Observe}
}

func (o observer) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	answer, err := o.next.RoundTrip(r)
	outcome := "no_answer"
	switch {
	case err == nil:
		outcome = strconv.Itoa(answer.StatusCode/100) + "xx"
	case errors.Is(r.Context().Err(), context.Canceled):
		outcome = "canceled"
	}
	o.report(Observed{Operation: operation(r), Outcome: outcome, Took: time.Since(begun)})
	return answer, err
}

// operation names the S3 operation of a request, among those that this package uses.
func operation(r *http.Request) string {
	query := r.URL.Query()
	switch part := query.Has("uploadId"); {
	case query.Has("retention"):
		return "lock"
	case r.Method == http.MethodGet && (query.Has("list-type") || query.Has("uploads") || query.Has("versions")):
		return "list"
	case r.Method == http.MethodGet && len(query) > 0 && !query.Has("versionId"):
		return "settings" // a bucket's
	case r.Method == http.MethodGet:
		return "get"
	case r.Method == http.MethodHead:
		return "head"
	case r.Method == http.MethodPut && part:
		return "upload_part"
	case r.Method == http.MethodPut && len(query) > 0:
		return "settings"
	case r.Method == http.MethodPut:
		return "put"
	case r.Method == http.MethodPost && part:
		return "complete_upload"
	case r.Method == http.MethodPost && query.Has("uploads"):
		return "begin_upload"
	case r.Method == http.MethodDelete && part:
		return "abort_upload"
	case r.Method == http.MethodDelete:
		return "delete"
	}
	return "other"
}
