package client

import (
	"cmp"
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

// Config names the server and the application's credentials. All other fields have defaults for
// their zero values.
type Config struct {
	URL          string // of callvault, such as https://callvault.example.com
	ClientID     string
	ClientSecret string

	TokenURL  string // default: what {URL}/.well-known/openid-configuration names
	Scope     string // default dataservice_external
	UserAgent string // default callvault-client

	ConnectTimeout time.Duration // default 10 s; not used with a Transport of your own
	AnswerTimeout  time.Duration // for a whole answer; of a download, until it begins; default 60 s
	StallTimeout   time.Duration // a download that gets no byte for so long is resumed; default 60 s
	Attempts       int           // in a row without a new byte, before it fails; default 5
	Backoff        time.Duration // before the second attempt; doubled each time up to 30 s; default 1 s

	Transport http.RoundTripper // default: HTTP/1.1 with the environment's proxy and the system's roots
	Now       func() time.Time  // default time.Now; for the ends of tokens and of waits
}

const maxBackoff = 30 * time.Second

// Client sends requests to one server as one application. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
	// proxy is the environment's for base; nil without one, and with a Transport of the caller's
	// own.
	proxy *url.URL

	mu    sync.Mutex // of token
	token *oauth2.Token
}

// New checks cfg and returns a Client. It sends nothing.
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
	cfg.Scope = cmp.Or(cfg.Scope, "dataservice_external")
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "callvault-client")
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 10*time.Second)
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, time.Minute)
	cfg.StallTimeout = cmp.Or(cfg.StallTimeout, time.Minute)
	cfg.Attempts = cmp.Or(cfg.Attempts, 5)
	cfg.Backoff = cmp.Or(cfg.Backoff, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var proxy *url.URL
	if cfg.Transport == nil {
		cfg.Transport = transport(cfg.ConnectTimeout)
		if proxy, err = http.ProxyFromEnvironment(&http.Request{URL: base}); err != nil {
			return nil, fmt.Errorf("HTTP_PROXY or HTTPS_PROXY is no URL: %w", err)
		}
	}
	return &Client{cfg: cfg, base: base, proxy: proxy, http: &http.Client{
		Transport: &userAgent{cfg.Transport, cfg.UserAgent},
		// Requests that carry credentials must not be redirected. Downloads follow redirects in
		// send, since http.Client would send the link to the object store as Referer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// webURL parses an http or https URL without user, query and fragment.
func webURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case text == "":
		return nil, errors.New("is missing")
	case !strings.Contains(text, "://"):
		return nil, errors.New("lacks https:// or http:// at its beginning")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("is not an http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("holds a user, query or fragment, which does not belong there")
	}
	return u, nil
}

// transport is the standard one without HTTP/2, which is slower for a few large bodies, and without
// compression, since ranges count the bytes of the archive.
func transport(connect time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: connect,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// userAgent sets the User-Agent of each request.
type userAgent struct {
	http.RoundTripper
	agent string
}

func (a *userAgent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.agent)
	return a.RoundTripper.RoundTrip(r)
}
