package web

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// MaxBody bounds the bodies of everything that does not stream, in bytes.
const MaxBody = 1 << 20

// MaxForm bounds the body of a form that holds credentials, in bytes.
const MaxForm = 16 << 10

// Origin is who sent the request, for the audit log.
func Origin(r *http.Request, actor string) audit.Origin {
	return audit.Origin{Actor: actor, Remote: Remote(r), Request: telemetry.RequestID(r.Context())}
}

// Credentials gives the values of a header that holds a credential. An empty one counts as absent.
func Credentials(r *http.Request, header string) []string {
	return slices.DeleteFunc(slices.Clone(r.Header.Values(header)), func(value string) bool { return value == "" })
}

// Bearer gives the token of the request's only Authorization header. present says whether the
// request has an Authorization header that is not empty.
func Bearer(r *http.Request) (token string, present bool) {
	values := Credentials(r, "Authorization")
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
// an escaped slash. It gives false for a path that can't be unescaped.
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

// TooLarge says whether the announced body is larger than MaxBody. Endpoints ask this after they
// have checked the credentials.
func TooLarge(r *http.Request) bool { return r.ContentLength > MaxBody }

// Body reads a whole body of at most limit bytes. Errors: KindTooLarge, without reading a body
// whose announced length is too large, and KindInvalid when the body breaks off.
func Body(r *http.Request, limit int64) ([]byte, error) {
	large := domain.Errorf(domain.KindTooLarge, "the request body is larger than %d bytes", limit)
	if r.ContentLength > limit {
		return nil, large
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, large
	case err != nil:
		return nil, domain.Wrap(domain.KindInvalid, err, "the request body breaks off")
	}
	return b, nil
}
