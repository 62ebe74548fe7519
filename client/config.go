package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Config says which server is asked, as whom, and how patiently. Zero values of
// what follows the secret are the defaults.
type Config struct {
	URL          string // of callvault, such as https://callvault.example.com
	ClientID     string
	ClientSecret string

	TokenURL  string // default: what {URL}/.well-known/openid-configuration names
	Scope     string // default dataservice_external
	UserAgent string // default callvault-client

	ConnectTimeout time.Duration // default 10 s; not used with a Transport of your own
	AnswerTimeout  time.Duration // until an answer begins; a whole one for day and token; default 60 s
	StallTimeout   time.Duration // a download without a byte for so long is taken up again; default 60 s
	Attempts       int           // in a row without a byte of progress, before giving up; default 5
	Backoff        time.Duration // before the second attempt, doubled each time up to 30 s; default 1 s

	Transport http.RoundTripper // default: HTTP/1.1 with the environment's proxy and the system's roots
	Now       func() time.Time  // default time.Now; tells when tokens end and when waits are over
}

const (
	defaultScope     = "dataservice_external"
	defaultUserAgent = "callvault-client"
	defaultAnswer    = time.Minute
	defaultStall     = time.Minute
	defaultConnect   = 10 * time.Second
	maxBackoff       = 30 * time.Second
)

// Client asks one callvault as one application. It may be used by several
// goroutines.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client

	mu    sync.Mutex // of token
	token *oauth2.Token
}

// New checks cfg and gives a Client; nothing is sent yet.
func New(cfg Config) (*Client, error) {
	base, err := webURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("the server's URL %w", err)
	}
	if cfg.TokenURL != "" {
		if _, err := webURL(cfg.TokenURL); err != nil {
			return nil, fmt.Errorf("the token endpoint's URL %w", err)
		}
	}
	if cfg.ClientID == "" || cfg.ClientSecret == "" {
		return nil, errors.New("the client id or secret is missing")
	}
	setDefault(&cfg.Scope, defaultScope)
	setDefault(&cfg.UserAgent, defaultUserAgent)
	setDefault(&cfg.ConnectTimeout, defaultConnect)
	setDefault(&cfg.AnswerTimeout, defaultAnswer)
	setDefault(&cfg.StallTimeout, defaultStall)
	setDefault(&cfg.Attempts, 5)
	setDefault(&cfg.Backoff, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Transport == nil {
		cfg.Transport = transport(cfg.ConnectTimeout)
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport: &named{cfg.Transport, cfg.UserAgent},
		// What goes through here carries credentials and may not be redirected. Downloads follow
		// redirects by hand: Go would tell the object store in Referer which link sent it there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// webURL reads an http or https URL without user, query and fragment.
func webURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case text == "":
		return nil, errors.New("is missing")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("is not an http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("holds a user, query or fragment, which does not belong there")
	}
	return u, nil
}

// transport is the standard one without HTTP/2, which is slower for a few big
// bodies, and without compression, which ranges could not count through.
func transport(connect time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: connect,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}
}

// named gives each request its User-Agent.
type named struct {
	http.RoundTripper
	agent string
}

// RoundTrip implements http.RoundTripper.
func (n *named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", n.agent)
	return n.RoundTripper.RoundTrip(r)
}
