package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// maxAnswer is the most bytes of an answer in JSON. A day has some 15 KB; decoded, a hostile one
// takes a hundred times its size.
const maxAnswer = 256 << 10

// pause waits for d, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// backoff returns the wait after the n-th failure in a row, n ≥ 1. It is random, so that clients
// that failed together do not retry together.
func (c *Client) backoff(n int, err error) time.Duration {
	wait := maxBackoff
	if n < 16 {
		wait = min(maxBackoff, c.cfg.Backoff<<(n-1))
	}
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // not a secret
	var transient *transientError
	if errors.As(err, &transient) {
		wait = max(wait, min(transient.after, time.Minute))
	}
	return wait
}

// retry repeats do while its errors are transient, up to cfg.Attempts.
func (c *Client) retry(ctx context.Context, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		var transient *transientError
		if !errors.As(err, &transient) || n >= c.cfg.Attempts {
			return err
		}
		if err := pause(ctx, c.backoff(n, err)); err != nil {
			return err
		}
	}
}

// getJSON gets a document, in one attempt.
func (c *Client) getJSON(ctx context.Context, address, bearer string, into any) (err error) {
	limited, cancel := context.WithTimeout(ctx, c.cfg.AnswerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return sendError(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answerError(resp, c.cfg.Now())
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return sendError(ctx, err)
	case len(body) > maxAnswer:
		return fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer is not what callvault gives: %w", err)
	}
	return nil
}

// bearer returns a valid access token, other than stale.
func (c *Client) bearer(ctx context.Context, stale string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != nil && c.token.AccessToken != stale && c.fresh(c.token) {
		return c.token.AccessToken, nil
	}
	if err := c.retry(ctx, func() error { return c.authenticate(ctx) }); err != nil {
		return "", err
	}
	return c.token.AccessToken, nil
}

// fresh reports whether a token is valid for 10 s more, so that it does not end before the request.
func (c *Client) fresh(t *oauth2.Token) bool {
	return t.Expiry.IsZero() || c.cfg.Now().Add(10*time.Second).Before(t.Expiry)
}

func (c *Client) authenticate(ctx context.Context) error {
	endpoint, err := c.tokenURL(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.AnswerTimeout)
	defer cancel()
	grant := clientcredentials.Config{
		ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret, TokenURL: endpoint,
		Scopes: []string{c.cfg.Scope}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	token, err := grant.Token(context.WithValue(limited, oauth2.HTTPClient, c.http))
	var answered *oauth2.RetrieveError
	var unsent *url.Error
	switch {
	case err == nil:
		c.token = token
		return nil
	case errors.As(err, &answered) && answered.Response.StatusCode == http.StatusNotFound:
		return &AddressError{fmt.Errorf("there is no token endpoint at %s", endpoint), "name the right one (TokenURL, --token-url), or none to use callvault's own"}
	case errors.As(err, &answered) && answered.Response.StatusCode != http.StatusOK:
		answered.Response.Body = io.NopCloser(strings.NewReader(string(answered.Body)))
		return answerError(answered.Response, c.cfg.Now())
	case errors.As(err, &answered):
		return errors.New("the answer of the token endpoint holds no token")
	case ctx.Err() == nil && !errors.As(err, &unsent):
		return &transientError{err: fmt.Errorf("the answer of the token endpoint cannot be read: %w", err)}
	}
	return sendError(ctx, err)
}

// tokenURL returns the token endpoint. The discovery document of an https server must not name an
// http endpoint: the secret would be sent unencrypted. Nor may it name another host, which only the
// user can do.
func (c *Client) tokenURL(ctx context.Context) (string, error) {
	if c.cfg.TokenURL != "" {
		return c.cfg.TokenURL, nil
	}
	var found struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := c.getJSON(ctx, c.base.String()+discoveryPath, "", &found); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", fmt.Errorf("find the token endpoint: %w", c.discoveryError(err))
	}
	u, err := webURL(found.TokenEndpoint)
	if err != nil {
		return "", fmt.Errorf("find the token endpoint: %w", c.discoveryError(fmt.Errorf("the token endpoint's URL %w", err)))
	}
	if c.base.Scheme == "https" && u.Scheme != "https" {
		return "", errors.New("find the token endpoint: an https server names one without https")
	}
	if !sameHost(u, c.base) {
		return "", fmt.Errorf("find the token endpoint: %s names one of another host, %q; if that is right, name the token endpoint yourself (TokenURL, --token-url)",
			c.base.Host, u.Host)
	}
	return found.TokenEndpoint, nil
}

// sameHost reports whether two URLs are of one host, whatever the port. All names of this machine
// are one.
func sameHost(a, b *url.URL) bool {
	local := func(u *url.URL) bool {
		ip := net.ParseIP(u.Hostname())
		return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
	}
	return strings.EqualFold(a.Hostname(), b.Hostname()) || local(a) && local(b)
}
