package web

import (
	"net/http"
	"strings"

	"github.com/callvault/callvault/internal/telemetry"
)

// Family is a group of endpoints with one error shape, as the router mounts it.
type Family struct {
	Name string // for logs, metrics and the path of its OpenAPI document

	// Owns says whether the family answers requests for an escaped path, also with its own 404. The
	// first family that owns a path gets the request.
	Owns func(path string) bool

	Handler http.Handler

	// Fail writes an error that the router found, such as 500. A 503 has a Retry-After.
	Fail func(w http.ResponseWriter, r *http.Request, status int)

	Streams bool // bodies may have any size

	// Spec is the family's OpenAPI document in YAML.
	Spec []byte
}

// Under gives an Owns for everything below prefixes: /a owns /a and /a/b, not /ab.
func Under(prefixes ...string) func(path string) bool {
	return func(path string) bool {
		for _, prefix := range prefixes {
			if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
				return true
			}
		}
		return false
	}
}

// Methods answers one path. HEAD is answered by Get. A method without a handler is answered 405
// with Allow. The request's Pattern is the route in logs and traces: chi sets it, other routers
// must.
type Methods struct {
	Get  http.HandlerFunc
	Post http.HandlerFunc
	Put  http.HandlerFunc
	Del  http.HandlerFunc
	Fail func(w http.ResponseWriter, r *http.Request, status int)
}

func (m Methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	telemetry.SetRoute(r.Context(), r.Pattern)
	var allow []string
	for _, c := range []struct {
		method string
		serve  http.HandlerFunc
	}{{http.MethodGet, m.Get}, {http.MethodHead, m.Get}, {http.MethodPost, m.Post}, {http.MethodPut, m.Put}, {http.MethodDelete, m.Del}} {
		if c.serve == nil {
			continue
		}
		if r.Method == c.method {
			c.serve(w, r)
			return
		}
		allow = append(allow, c.method)
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	m.Fail(w, r, http.StatusMethodNotAllowed)
}
