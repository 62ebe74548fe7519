package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// MaxBody bounds the bodies of everything that does not stream, in bytes.
const MaxBody = 1 << 20

// WithRequestID gives the request its id.
func WithRequestID(r *http.Request, id string) *http.Request {
	return r.WithContext(telemetry.WithRequest(r.Context(), id))
}

// RequestID is the id of the request that ctx belongs to, "" outside of one.
func RequestID(ctx context.Context) string { return telemetry.RequestID(ctx) }

// SaneRequestID says whether a caller's id is taken over: 1 to 128 of A-Z a-z 0-9 . _ -.
func SaneRequestID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// Remote is the network address that the request came from, without its port.
func Remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Bearer gives the token of the request's only Authorization header. present says whether there
// was any such header at all.
func Bearer(r *http.Request) (token string, present bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", len(values) > 0
	}
	scheme, token, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimLeft(token, " "), true
}

// Segments splits an escaped path at its slashes and unescapes each part, so that an id may hold
// an escaped slash. False for a path that can't be unescaped.
func Segments(path string) ([]string, bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, false
		}
		parts[i] = text
	}
	return parts, true
}

// Body reads a whole body that the router has bounded. Errors: KindTooLarge, and KindInvalid when
// it breaks off.
func Body(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, domain.Errorf(domain.KindTooLarge, "the request body is larger than %d bytes", large.Limit)
	case err != nil:
		return nil, domain.Wrap(domain.KindInvalid, err, "the request body breaks off")
	}
	return b, nil
}
