package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/callvault/callvault/internal/domain"
)

const (
	// issuerTimeout bounds a request to the outside issuer, with its answer.
	issuerTimeout = 5 * time.Second
	// maxIssuerAnswer bounds an answer of the issuer, in bytes. Key sets have some KiB.
	maxIssuerAnswer = 1 << 20
	// answerLife is how long an answer serves, and so how soon a rotated key is found. Each token
	// with an unknown key asks for the keys anew, and anybody can name a key that does not exist.
	answerLife = time.Minute
	// failureLife is how long a request that failed is not repeated.
	failureLife = 5 * time.Second
)

// issuer holds the outside issuer's keys. They are discovered when the first token comes.
type issuer struct {
	cfg    OIDC
	client *http.Client

	mu   sync.Mutex
	keys *oidc.RemoteKeySet
}

func newIssuer(cfg OIDC, now func() time.Time) *issuer {
	return &issuer{cfg: cfg, client: &http.Client{Timeout: issuerTimeout, Transport: &issuerTransport{now: now, answers: map[string]issuerAnswer{}}}}
}

// keySet returns the issuer's keys. Error: KindUnavailable.
func (i *issuer) keySet() (*oidc.RemoteKeySet, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.keys != nil {
		return i.keys, nil
	}
	// The key set keeps this context for later requests, so it must not be one request's.
	ctx := oidc.ClientContext(context.Background(), i.client)
	provider, err := oidc.NewProvider(ctx, i.cfg.Issuer)
	if err != nil {
		return nil, unanswered(err)
	}
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil || metadata.Keys == "" {
		return nil, domain.Wrap(domain.KindUnavailable, err, "the outside issuer names no keys")
	}
	i.keys = oidc.NewRemoteKeySet(ctx, metadata.Keys)
	return i.keys, nil
}

func unanswered(err error) error {
	return domain.Wrap(domain.KindUnavailable, err, "the outside issuer does not answer")
}

// issuerTransport gives the issuer's last answer again instead of asking too often, and refuses one
// that is too large or no JSON.
type issuerTransport struct {
	now func() time.Time

	mu      sync.Mutex // held while the issuer is asked
	answers map[string]issuerAnswer
}

type issuerAnswer struct {
	head  http.Response // without its body
	body  []byte
	err   error
	until time.Time // it is given again until then
}

// RoundTrip is for http.Client.
func (t *issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	url := r.URL.String()
	a, known := t.answers[url]
	if !known || !t.now().Before(a.until) {
		a = ask(r)
		a.until = t.now().Add(answerLife)
		if a.err != nil || a.head.StatusCode != http.StatusOK && a.head.Header.Get("Location") == "" {
			a.until = t.now().Add(failureLife)
		}
		t.answers[url] = a
	}
	if a.err != nil {
		return nil, a.err
	}
	resp := a.head
	resp.Request, resp.Body = r, io.NopCloser(bytes.NewReader(a.body))
	return &resp, nil
}

// ask sends a request and reads the whole answer.
func ask(r *http.Request) issuerAnswer {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return issuerAnswer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuerAnswer+1))
	switch {
	case err != nil:
	case len(body) > maxIssuerAnswer:
		err = fmt.Errorf("the answer of %s is larger than %d bytes", r.URL, maxIssuerAnswer)
	case resp.StatusCode == http.StatusOK && !json.Valid(body):
		err = fmt.Errorf("the answer of %s is no JSON", r.URL)
	}
	return issuerAnswer{head: *resp, body: body, err: err}
}
