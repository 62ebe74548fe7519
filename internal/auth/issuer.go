package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callvault/callvault/internal/domain"
)

const (
	// issuerTimeout bounds a request to the external issuer, with its answer.
	issuerTimeout = 5 * time.Second
	// maxIssuerAnswer bounds an answer of the issuer, in bytes. Key sets have some KiB.
	maxIssuerAnswer = 1 << 20
	// refetchKeys is the wait after a fetch that did not bring the key of its token, and so how soon a
	// rotated key is found. Anybody can name a key that does not exist.
	refetchKeys = time.Minute
	// retryIssuer is the wait after the issuer did not answer.
	retryIssuer = 5 * time.Second
)

// issuer verifies by the external issuer's keys, which it fetches when the first token comes.
type issuer struct {
	cfg    OIDC
	now    func() time.Time
	client *http.Client
	turn   chan struct{} // holds one item while the issuer is asked
	known  atomic.Pointer[issuerKeys]
}

// issuerKeys is the outcome of one fetch.
type issuerKeys struct {
	keys   []jose.JSONWebKey // in the issuer's order
	url    string            // of the keys; "" when it has to be asked for
	failed error             // why the issuer gave no keys; these are the former ones then
	again  time.Time         // no fetch before
}

func newIssuer(cfg OIDC, now func() time.Time) *issuer {
	i := &issuer{cfg: cfg, now: now, client: &http.Client{Timeout: issuerTimeout}, turn: make(chan struct{}, 1)}
	i.known.Store(&issuerKeys{})
	return i
}

// verify reads the claims of a token into each of dest, if one of the issuer's keys signed it. Who
// has no token of a known key takes turns, so that all share a fetch. Errors: KindUnauthorized,
// KindUnavailable when the issuer does not answer.
func (i *issuer) verify(ctx context.Context, token *jwt.JSONWebToken, dest ...any) error {
	if i.known.Load().verify(token, dest...) {
		return nil
	}
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return unanswered(ctx.Err())
	}
	known := i.known.Load()
	if genuine := known.verify(token, dest...); genuine || i.now().Before(known.again) {
		return known.verdict(genuine)
	}
	fetched, err := i.fetchKeys(context.WithoutCancel(ctx), known.url) // a caller who gives up must not make it fail
	if err != nil {
		fetched = issuerKeys{keys: known.keys, failed: err, again: i.now().Add(retryIssuer)}
	}
	genuine := fetched.verify(token, dest...)
	if !genuine && err == nil {
		fetched.again = i.now().Add(refetchKeys)
	}
	i.known.Store(&fetched)
	return fetched.verdict(genuine)
}

// verdict gives the error for a token after the keys were tried.
func (k *issuerKeys) verdict(genuine bool) error {
	switch {
	case genuine:
		return nil
	case k.failed != nil:
		return unanswered(k.failed)
	}
	return refused(errors.New("none of the issuer's keys signed the token"))
}

func unanswered(err error) error {
	return domain.Wrap(domain.KindUnavailable, err, "the outside issuer does not answer")
}

// verify tries the key that the token names; every key when it names none.
func (k *issuerKeys) verify(token *jwt.JSONWebToken, dest ...any) bool {
	for _, key := range k.keys {
		if id := token.Headers[0].KeyID; (id == "" || id == key.KeyID) && token.Claims(&key, dest...) == nil {
			return true
		}
	}
	return false
}

// fetchKeys reads the keys at a URL, which it asks the issuer for when it is "". It ignores keys of
// unknown kinds, as RFC 7517 says.
func (i *issuer) fetchKeys(ctx context.Context, url string) (issuerKeys, error) {
	if url == "" {
		var err error
		if url, err = i.discover(ctx); err != nil {
			return issuerKeys{}, fmt.Errorf("read the issuer's metadata: %w", err)
		}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := i.get(ctx, url, &set); err != nil {
		return issuerKeys{}, fmt.Errorf("read the issuer's keys: %w", err)
	}
	found := issuerKeys{url: url}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil {
			found.keys = append(found.keys, key)
		}
	}
	if len(found.keys) == 0 {
		return issuerKeys{}, errors.New("the issuer has no keys of a known kind")
	}
	return found, nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0, section 4).
func (i *issuer) discover(ctx context.Context) (string, error) {
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	err := i.get(ctx, strings.TrimRight(i.cfg.Issuer, "/")+"/.well-known/openid-configuration", &metadata)
	switch {
	case err != nil:
		return "", err
	case metadata.Issuer != i.cfg.Issuer:
		return "", fmt.Errorf("it calls itself %.200q, not %q", metadata.Issuer, i.cfg.Issuer)
	case metadata.Keys == "":
		return "", errors.New("it names no keys")
	}
	return metadata.Keys, nil
}

// get reads the JSON document at a URL.
func (i *issuer) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := i.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuerAnswer+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxIssuerAnswer:
		return fmt.Errorf("the answer of %s is larger than %d bytes", url, maxIssuerAnswer)
	}
	return json.Unmarshal(body, into)
}
