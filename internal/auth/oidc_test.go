package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
)

// identityProvider answers discovery and keys.
type identityProvider struct {
	*httptest.Server
	key  *rsa.PrivateKey
	id   atomic.Value // the key's id
	asks atomic.Int64 // for the keys
	down atomic.Bool
	keys atomic.Pointer[http.HandlerFunc] // replaces the answer with the keys; nil: none
}

func newIssuer(t *testing.T) *identityProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	o := &identityProvider{key: key}
	o.id.Store("k1")
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if o.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": o.URL, "jwks_uri": o.URL + "/keys", "token_endpoint": o.URL + "/token"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		o.asks.Add(1)
		if instead := o.keys.Load(); instead != nil {
			instead.ServeHTTP(w, r)
			return
		}
		raw, err := json.Marshal(jose.JSONWebKey{Key: &key.PublicKey, KeyID: o.id.Load().(string), Algorithm: "RS256", Use: "sig"})
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"keys": []json.RawMessage{[]byte(`{"kty":"OKP","crv":"Ed448","x":"AA"}`), raw}})
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

func (o *identityProvider) claims(f *fixture, change func(map[string]any)) map[string]any {
	now := f.clock.now()
	c := map[string]any{"iss": o.URL, "aud": []string{"callvault", "more"}, "sub": "client-7", "tid": "acme", "scope": auth.ScopeDataService,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if change != nil {
		change(c)
	}
	return c
}

func TestOIDCIssuer(t *testing.T) {
	o := newIssuer(t)
	f := newFixture(t, auth.OIDC{Issuer: o.URL, Audience: "callvault", TenantClaim: "tid"})
	edit := func(name string, value any) map[string]any {
		return o.claims(f, func(c map[string]any) { c[name] = value })
	}
	for what, claims := range map[string]map[string]any{
		"scope as text": edit("scope", "openid "+auth.ScopeDataService),
		"scope as list": edit("scope", []string{"openid", auth.ScopeDataService}),
		"scp":           o.claims(f, func(c map[string]any) { delete(c, "scope"); c["scp"] = []string{auth.ScopeDataService} }),
	} {
		caller, err := f.verify(sign(t, jose.RS256, o.key, "k1", "JWT", claims))
		if err != nil || caller.Tenant != "acme" || caller.Actor != "oidc:client-7" || !slices.Contains(caller.Scopes, auth.ScopeDataService) {
			t.Fatalf("%s: %+v, %v", what, caller, err)
		}
	}
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	f.must(err)
	own, kid := f.ownKey()
	for what, token := range map[string]string{
		"another key":         sign(t, jose.RS256, another, "k1", "JWT", o.claims(f, nil)),
		"our own key":         sign(t, jose.ES256, own, kid, "at+jwt", o.claims(f, nil)),
		"their key, our name": sign(t, jose.RS256, o.key, "k1", "at+jwt", f.claims(nil)),
		"HMAC":                sign(t, jose.HS256, o.key.N.Bytes(), "k1", "JWT", o.claims(f, nil)),
		"another audience":    sign(t, jose.RS256, o.key, "k1", "JWT", edit("aud", "other")),
		"expired":             sign(t, jose.RS256, o.key, "k1", "JWT", edit("exp", f.clock.now().Add(-time.Minute).Unix())),
		"never expires":       sign(t, jose.RS256, o.key, "k1", "JWT", o.claims(f, func(c map[string]any) { delete(c, "exp") })),
		"not yet":             sign(t, jose.RS256, o.key, "k1", "JWT", edit("nbf", f.clock.now().Add(time.Minute).Unix())),
		"no such tenant":      sign(t, jose.RS256, o.key, "k1", "JWT", edit("tid", "nobody")),
		"no tenant":           sign(t, jose.RS256, o.key, "k1", "JWT", edit("tid", "")),
		"tenant is a number":  sign(t, jose.RS256, o.key, "k1", "JWT", edit("tid", 7)),
	} {
		_, err := f.verify(token)
		f.wantKind(what, err, domain.KindUnauthorized)
	}
}

func TestOIDCIssuerIsDown(t *testing.T) {
	o := newIssuer(t)
	f := newFixture(t, auth.OIDC{Issuer: o.URL, Audience: "callvault", TenantClaim: "tid"})
	token := sign(t, jose.RS256, o.key, "k1", "JWT", o.claims(f, nil))
	o.down.Store(true)
	_, err := f.verify(token)
	f.wantKind("discovery fails", err, domain.KindUnavailable)
	o.down.Store(false)
	f.clock.pass(6 * time.Second)
	_, err = f.verify(token)
	f.must(err)
	o.down.Store(true)
	_, err = f.verify(token) // its key is known
	f.must(err)
	f.clock.pass(time.Minute)
	unknown := sign(t, jose.RS256, o.key, "k2", "JWT", o.claims(f, nil))
	for range 2 {
		_, err = f.verify(unknown)
		f.wantKind("an unknown key", err, domain.KindUnavailable)
	}
	_, err = f.verify(token) // its key is still known
	f.must(err)
	mine, _, err := f.tokens.Issue(t.Context(), f.app, f.app.Scopes)
	f.must(err)
	_, err = f.verify(mine)
	f.must(err)
}

// TestOIDCIssuerWithoutKeys: while the keys cannot be fetched, a token is not refused.
func TestOIDCIssuerWithoutKeys(t *testing.T) {
	o := newIssuer(t)
	f := newFixture(t, auth.OIDC{Issuer: o.URL, Audience: "callvault", TenantClaim: "tid"})
	token := sign(t, jose.RS256, o.key, "k1", "JWT", o.claims(f, nil))
	for what, answer := range map[string]http.HandlerFunc{
		"a page for people": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<p>Back soon.</p>")) },
		"nothing":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":[`))
		},
		"more than any issuer has": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[`))
			for range 1 << 10 {
				_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<10))
			}
			_, _ = w.Write([]byte(`]}`))
		},
	} {
		o.keys.Store(&answer)
		before := o.asks.Load()
		for range 3 {
			_, err := f.verify(token)
			f.wantKind(what, err, domain.KindUnavailable)
		}
		if o.asks.Load() == before { // go-oidc told its last failure once more, see below
			f.clock.pass(5 * time.Second)
			_, err := f.verify(token)
			f.wantKind(what, err, domain.KindUnavailable)
		}
		if n := o.asks.Load() - before; n != 1 {
			t.Errorf("%s: the keys were asked for %d times within five seconds", what, n)
		}
		f.clock.pass(5 * time.Second)
	}
	o.keys.Store(nil)
	// go-oidc may tell its last failure once more: it wakes who waits before it forgets the
	// request.
	_, err := f.verify(token)
	if domain.KindOf(err) == domain.KindUnavailable {
		f.clock.pass(5 * time.Second)
		_, err = f.verify(token)
	}
	f.must(err)
}

// TestUnknownKeysOfTheIssuer checks that tokens that name keys which do not exist cause one fetch a
// minute, and that a rotated key is found after that minute.
func TestUnknownKeysOfTheIssuer(t *testing.T) {
	o := newIssuer(t)
	f := newFixture(t, auth.OIDC{Issuer: o.URL, Audience: "callvault", TenantClaim: "tid"})
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	f.must(err)
	flood := func() {
		var wait sync.WaitGroup
		for range 30 {
			forged := sign(t, jose.RS256, another, rand.Text(), "JWT", o.claims(f, nil))
			wait.Go(func() {
				if _, err := f.tokens.Verify(t.Context(), forged); domain.KindOf(err) != domain.KindUnauthorized {
					t.Errorf("a forged token: %v", err)
				}
			})
		}
		wait.Wait()
		_, err := f.verify(sign(t, jose.RS256, another, "k1", "JWT", o.claims(f, nil)))
		f.wantKind("a known key's name", err, domain.KindUnauthorized)
	}
	_, err = f.verify(sign(t, jose.RS256, o.key, "k1", "JWT", o.claims(f, nil)))
	f.must(err)
	o.asks.Store(0)
	f.clock.pass(time.Minute)
	flood()
	o.id.Store("k2")
	rotated := sign(t, jose.RS256, o.key, "k2", "JWT", o.claims(f, nil))
	f.clock.pass(59 * time.Second)
	flood()
	_, err = f.verify(rotated)
	f.wantKind("a new key within the minute", err, domain.KindUnauthorized)
	if n := o.asks.Load(); n != 1 {
		t.Errorf("the keys were asked for %d times within a minute", n)
	}
	f.clock.pass(time.Second)
	flood()
	_, err = f.verify(rotated)
	f.must(err)
	if n := o.asks.Load(); n != 2 {
		t.Errorf("the keys were asked for %d times within the next minute", n)
	}
}

// TestSlowIssuer checks that a caller who waits for an issuer can give up, and that the fetch goes
// on for the others.
func TestSlowIssuer(t *testing.T) {
	o := newIssuer(t)
	f := newFixture(t, auth.OIDC{Issuer: o.URL, Audience: "callvault", TenantClaim: "tid"})
	token := sign(t, jose.RS256, o.key, "k1", "JWT", o.claims(f, nil))
	answer := make(chan struct{})
	asked := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
		o.keys.Store(nil)
		o.Config.Handler.ServeHTTP(w, r)
	})
	o.keys.Store(&slow)
	ctx, giveUp := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := f.tokens.Verify(ctx, token)
		first <- err
	}()
	<-asked
	giveUp()
	_, err := f.tokens.Verify(ctx, token)
	f.wantKind("one who waits", err, domain.KindUnavailable)
	close(answer)
	if err = <-first; !errors.Is(err, context.Canceled) { // of the catalog, which it asks next
		t.Errorf("one who gave up: %v", err)
	}
	_, err = f.verify(token)
	f.must(err)
	if n := o.asks.Load(); n != 2 { // the slow handler asks itself once more
		t.Errorf("the keys were asked for %d times", n)
	}
}

// TestIssuerRedirects checks that an issuer may redirect to its discovery document and its keys,
// and that redirects are not asked for more often than these.
func TestIssuerRedirects(t *testing.T) {
	o := newIssuer(t)
	named := o.Config.Handler
	var redirects atomic.Int64
	o.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, moved := strings.CutPrefix(r.URL.Path, "/moved"); moved {
			r.URL.Path = path
			named.ServeHTTP(w, r)
			return
		}
		redirects.Add(1)
		http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusFound)
	})
	f := newFixture(t, auth.OIDC{Issuer: o.URL, Audience: "callvault", TenantClaim: "tid"})
	_, err := f.verify(sign(t, jose.RS256, o.key, "k1", "JWT", o.claims(f, nil)))
	f.must(err)
	f.clock.pass(59 * time.Second)
	_, err = f.verify(sign(t, jose.RS256, o.key, "unknown", "JWT", o.claims(f, nil)))
	f.wantKind("an unknown key", err, domain.KindUnauthorized)
	if n := redirects.Load(); n != 2 {
		t.Errorf("the issuer redirected %d times", n)
	}
}
