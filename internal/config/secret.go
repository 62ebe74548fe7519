package config

import (
	"fmt"
	"io"
	"net/url"
)

const masked = "***"

// Secret is a value that every way of printing shows as ***, or as nothing when it is empty.
type Secret string

// Reveal gives the value itself: for the one place that needs it, never for a log.
func (s Secret) Reveal() string { return string(s) }

// String is *** for a value, "" for none.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format prints String for every verb, so that not even %d or %#v shows the value.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt.State keeps the write error to itself
}

// MarshalText gives String, so JSON and structured logs mask the value as well.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Place is the scheme and host of a secret URL, without user, path and query: enough to say in
// a message which server is meant. Anything else is ***.
func (s Secret) Place() string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(string(s))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return masked
	}
	return u.Scheme + "://" + u.Host
}
