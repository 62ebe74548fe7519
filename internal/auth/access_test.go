package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

func segment(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ownKey returns the private key that signs callvault's tokens.
func (f *fixture) ownKey() (*ecdsa.PrivateKey, string) {
	f.Helper()
	stored, err := f.cat.SigningKeys(f.Context())
	f.must(err)
	for _, k := range stored {
		if k.Purpose == string(auth.PurposeAccess) {
			parsed, err := x509.ParsePKCS8PrivateKey(k.Material)
			f.must(err)
			return parsed.(*ecdsa.PrivateKey), k.ID
		}
	}
	f.Fatal("no key")
	return nil, ""
}

// sign makes a token of claims with any key.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid, kind string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(kind)))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (f *fixture) claims(change func(map[string]any)) map[string]any {
	now := f.clock.now()
	c := map[string]any{"iss": issuer, "aud": issuer, "sub": f.app.ID, "client_id": f.app.ID, "tenant": "acme", "scope": auth.ScopeDataService,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if change != nil {
		change(c)
	}
	return c
}

func TestIssueAndVerify(t *testing.T) {
	f := newFixture(t, auth.OIDC{})
	token, life, err := f.tokens.Issue(t.Context(), f.app, f.app.Scopes)
	f.must(err)
	caller, err := f.verify(token)
	f.must(err)
	if caller.Tenant != "acme" || caller.Actor != "app:"+f.app.ID || !slices.Contains(caller.Scopes, auth.ScopeDataService) || life != time.Hour {
		t.Fatalf("%+v, %s", caller, life)
	}
	f.clock.pass(time.Hour - time.Second)
	_, err = f.verify(token)
	f.must(err)
	f.clock.pass(time.Second) // exp has whole seconds
	_, err = f.verify(token)
	f.wantKind("expired", err, domain.KindUnauthorized)
}

// TestForgedTokens tries attacks that are known to have worked elsewhere.
func TestForgedTokens(t *testing.T) {
	f := newFixture(t, auth.OIDC{})
	own, kid := f.ownKey()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.must(err)
	der, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	f.must(err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := sign(t, jose.ES256, own, kid, "at+jwt", f.claims(nil))
	if _, err := f.verify(good); err != nil {
		t.Fatalf("the claims that the others change are not good: %v", err)
	}
	parts := strings.Split(good, ".")
	none := segment(t, map[string]string{"alg": "none", "typ": "at+jwt", "kid": kid})
	edit := func(name string, value any) map[string]any {
		return f.claims(func(c map[string]any) { c[name] = value })
	}
	now := f.clock.now()
	for what, token := range map[string]string{
		"empty":                 "",
		"text":                  "nonsense",
		"dots":                  "..",
		"another key":           sign(t, jose.ES256, other, kid, "at+jwt", f.claims(nil)),
		"an unknown key id":     sign(t, jose.ES256, own, "0000000000000000", "at+jwt", f.claims(nil)),
		"no key id":             sign(t, jose.ES256, own, "", "at+jwt", f.claims(nil)),
		"none":                  none + "." + parts[1] + ".",
		"none with a signature": none + "." + parts[1] + "." + parts[2],
		"HMAC with public PEM":  sign(t, jose.HS256, public, kid, "at+jwt", f.claims(nil)),
		"HMAC with public DER":  sign(t, jose.HS256, der, kid, "at+jwt", f.claims(nil)),
		"no signature":          parts[0] + "." + parts[1] + ".",
		"other claims":          parts[0] + "." + segment(t, edit("tenant", "other")) + "." + parts[2],
		"not an access token":   sign(t, jose.ES256, own, kid, "JWT", f.claims(nil)),
		"expired":               sign(t, jose.ES256, own, kid, "at+jwt", edit("exp", now.Unix())),
		"never expires":         sign(t, jose.ES256, own, kid, "at+jwt", f.claims(func(c map[string]any) { delete(c, "exp") })),
		"not yet":               sign(t, jose.ES256, own, kid, "at+jwt", edit("nbf", now.Add(12*time.Second).Unix())),
		"another audience":      sign(t, jose.ES256, own, kid, "at+jwt", edit("aud", "https://elsewhere.test")),
		"no audience":           sign(t, jose.ES256, own, kid, "at+jwt", f.claims(func(c map[string]any) { delete(c, "aud") })),
		"another issuer":        sign(t, jose.ES256, own, kid, "at+jwt", edit("iss", "https://elsewhere.test")),
		"another tenant":        sign(t, jose.ES256, own, kid, "at+jwt", edit("tenant", "other")),
		"another application":   sign(t, jose.ES256, own, kid, "at+jwt", edit("client_id", "app_x")),
	} {
		_, err := f.verify(token)
		f.wantKind(what, err, domain.KindUnauthorized)
	}
}

func TestScopeTakenAway(t *testing.T) {
	f := newFixture(t, auth.OIDC{})
	bare, _, err := f.cat.CreateApplication(t.Context(), "acme", "bare", nil, audit.Origin{})
	f.must(err)
	token, _, err := f.tokens.Issue(t.Context(), bare, auth.Scopes())
	f.must(err)
	if _, err := f.verify(token); !errors.Is(err, catalog.ErrScope) {
		t.Fatalf("a token with scopes of an application that has none: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	fx := newFixture(f, auth.OIDC{})
	good, _, err := fx.tokens.Issue(f.Context(), fx.app, fx.app.Scopes)
	fx.must(err)
	f.Add(good)
	f.Add("")
	f.Add("a.b.c")
	f.Add(strings.Repeat(".", 100))
	f.Fuzz(func(t *testing.T, token string) {
		_, err := fx.tokens.Verify(t.Context(), token)
		// A JWS can be spelled in several ways in base64; what counts is that its claims are the
		// signed ones.
		if err != nil && domain.KindOf(err) != domain.KindUnauthorized {
			t.Fatalf("%q: %v", token, err)
		}
		if err == nil && strings.Split(token, ".")[1] != strings.Split(good, ".")[1] {
			t.Fatalf("%q was accepted", token)
		}
	})
}

// TestTokenEnds: a token that was accepted before ends with its application.
func TestTokenEnds(t *testing.T) {
	f := newFixture(t, auth.OIDC{})
	token, _, err := f.tokens.Issue(t.Context(), f.app, f.app.Scopes)
	f.must(err)
	verify := func(want domain.Kind) {
		t.Helper()
		if _, err := f.verify(token); domain.KindOf(err) != want {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
	for range 2 {
		verify("")
		verify("")
		f.must(f.cat.DisableCredential(t.Context(), catalog.CredentialApp, f.app.ID, true, audit.Origin{}))
		verify(domain.KindUnauthorized)
		verify(domain.KindUnauthorized)
		f.must(f.cat.DisableCredential(t.Context(), catalog.CredentialApp, f.app.ID, false, audit.Origin{}))
		verify(domain.KindUnauthorized) // enabling it again does not revive the token
		f.app, err = f.cat.Application(t.Context(), f.app.ID)
		f.must(err)
		token, _, err = f.tokens.Issue(t.Context(), f.app, f.app.Scopes)
		f.must(err)
	}
	verify("")
	f.must(f.cat.DeleteCredential(t.Context(), catalog.CredentialApp, f.app.ID, audit.Origin{}))
	verify(domain.KindUnauthorized)
}
