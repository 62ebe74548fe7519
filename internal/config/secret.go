package config

import (
	"fmt"
	"io"
	"net/url"
)

const masked = "***"

// Secret is a value that prints as ***, whatever prints it, or as nothing when it is empty.
type Secret string

// Reveal returns the value itself. Never log it.
func (s Secret) Reveal() string { return string(s) }

// String returns *** for a value and "" for none.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format prints String for every verb, so that not even %d or %#v shows the value.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt.State reports no errors
}

// MarshalText returns String, so that JSON and structured logs mask the value too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Place returns the scheme and host of a secret URL, for messages that name the server. For
// anything else it returns ***.
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
