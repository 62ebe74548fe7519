package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// discoveryPath is what a Client asks for first, so its answer shows whether the URL is wrong.
const discoveryPath = "/.well-known/openid-configuration"

// AddressError says that the URL does not lead to a callvault, or that nothing answered there from
// the first request on.
type AddressError struct {
	Err    error
	Advice string // what to do
}

// Error has the cause and what to do.
func (e *AddressError) Error() string { return e.Err.Error() + "; " + e.Advice }

func (e *AddressError) Unwrap() error { return e.Err }

// urlAdvice says what to do when nothing more is known about a wrong URL.
const urlAdvice = "use the URL that its operator has set as CALLVAULT_PUBLIC_URL, such as https://callvault.example.com"

// discoveryError says what to do about an error of the first request.
func (c *Client) discoveryError(err error) error {
	var limited *LimitedError
	var transient *transientError
	var status *StatusError
	switch {
	case errors.As(err, &transient) && !errors.As(err, &status):
		return c.unreachable(err, transient)
	case errors.As(err, &transient), errors.As(err, &limited):
		return err
	}
	advice := urlAdvice
	var refused *RefusedError
	switch {
	case c.base.Path != "":
		advice = fmt.Sprintf("if %s does not belong to the URL, use %s", c.base.Path, originOf(c.base, c.base.Scheme))
	case errors.As(err, &refused) && refused.Status == http.StatusBadRequest && c.base.Scheme == "http":
		advice = "if it speaks TLS, use " + originOf(c.base, "https")
	}
	// The error is not wrapped: a 404 would count as callvault's, which says that a day is over.
	return &AddressError{fmt.Errorf("there is no callvault at %s: %s", c.base.Redacted(), err.Error()), advice}
}

// unreachable says what to do when there was no answer. A server that has answered before may be
// back soon, so then the error is not about its address.
func (c *Client) unreachable(err error, transient *transientError) error {
	var unverified *tls.CertificateVerificationError
	var noHost *net.DNSError
	var advice string
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return &AddressError{transient.err, "it speaks no TLS there: use " + originOf(c.base, "http") + ", or the port that speaks TLS"}
	case errors.As(err, &unverified):
		return &AddressError{transient.err, "use the name that the certificate has; if an authority of your own issued it, let SSL_CERT_FILE name a file with the certificate of that authority"}
	case c.proxy != nil:
		advice = fmt.Sprintf("requests go through the proxy %s of HTTP_PROXY or HTTPS_PROXY: set NO_PROXY=%s if it is not needed", c.proxy.Host, c.base.Hostname())
	case errors.As(err, &noHost) && noHost.IsNotFound:
		return &AddressError{transient.err, "check the host's name in the URL"}
	default:
		advice = fmt.Sprintf("check host and port of %s, and that callvault runs there: curl %s/healthz", c.base.Redacted(), c.base.Redacted())
	}
	if c.token != nil {
		return err
	}
	return &transientError{err: &AddressError{transient.err, advice}, after: transient.after}
}

// originOf returns a URL's scheme, host and port, with another scheme.
func originOf(u *url.URL, scheme string) string { return scheme + "://" + u.Host }
