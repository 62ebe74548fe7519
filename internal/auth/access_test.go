package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callvault/callvault/internal/auth"
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

// ownKey gives the private key that signs the bench's tokens.
func (b *bench) ownKey() (*ecdsa.PrivateKey, string) {
	b.Helper()
	stored, _, err := b.cat.Keys(b.Context())
	b.must(err)
	for _, k := range stored {
		if k.Purpose == string(auth.PurposeAccess) {
			parsed, err := x509.ParsePKCS8PrivateKey(k.Material)
			b.must(err)
			return parsed.(*ecdsa.PrivateKey), k.ID
		}
	}
	b.Fatal("no key")
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

func (b *bench) claims(change func(map[string]any)) map[string]any {
	now := b.clock.now()
	c := map[string]any{"iss": issuer, "aud": issuer, "sub": b.app.ID, "client_id": b.app.ID, "tenant": "acme", "scope": auth.ScopeDataService,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if change != nil {
		change(c)
	}
	return c
}

func TestIssueAndVerify(t *testing.T) {
	b := newBench(t, auth.Outside{})
	token, life, err := b.tokens.Issue(t.Context(), b.app, b.app.Scopes)
	b.must(err)
	caller, err := b.tokens.Verify(t.Context(), token)
	b.must(err)
	if caller.Tenant != "acme" || caller.Actor != "app:"+b.app.ID || !caller.Has(auth.ScopeDataService) || life != time.Hour {
		t.Fatalf("%+v, %s", caller, life)
	}
	b.clock.pass(time.Hour - time.Second)
	_, err = b.tokens.Verify(t.Context(), token)
	b.must(err)
	b.clock.pass(time.Second) // its exp, of whole seconds, has come
	_, err = b.tokens.Verify(t.Context(), token)
	b.wantKind("expired", err, domain.KindUnauthorized)
}

// TestForgedTokens tries what is known to have opened other doors.
func TestForgedTokens(t *testing.T) {
	b := newBench(t, auth.Outside{})
	own, kid := b.ownKey()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	b.must(err)
	der, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	b.must(err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := sign(t, jose.ES256, own, kid, "at+jwt", b.claims(nil))
	if _, err := b.tokens.Verify(t.Context(), good); err != nil {
		t.Fatalf("the claims that the others change are not good: %v", err)
	}
	parts := strings.Split(good, ".")
	none := segment(t, map[string]string{"alg": "none", "typ": "at+jwt", "kid": kid})
	edit := func(name string, value any) map[string]any {
		return b.claims(func(c map[string]any) { c[name] = value })
	}
	now := b.clock.now()
	for what, token := range map[string]string{
		"empty":                 "",
		"text":                  "nonsense",
		"dots":                  "..",
		"another key":           sign(t, jose.ES256, other, kid, "at+jwt", b.claims(nil)),
		"an unknown key id":     sign(t, jose.ES256, own, "0000000000000000", "at+jwt", b.claims(nil)),
		"no key id":             sign(t, jose.ES256, own, "", "at+jwt", b.claims(nil)),
		"none":                  none + "." + parts[1] + ".",
		"none with a signature": none + "." + parts[1] + "." + parts[2],
		"HMAC with public PEM":  sign(t, jose.HS256, public, kid, "at+jwt", b.claims(nil)),
		"HMAC with public DER":  sign(t, jose.HS256, der, kid, "at+jwt", b.claims(nil)),
		"no signature":          parts[0] + "." + parts[1] + ".",
		"other claims":          parts[0] + "." + segment(t, edit("tenant", "other")) + "." + parts[2],
		"not an access token":   sign(t, jose.ES256, own, kid, "JWT", b.claims(nil)),
		"expired":               sign(t, jose.ES256, own, kid, "at+jwt", edit("exp", now.Unix())),
		"never expires":         sign(t, jose.ES256, own, kid, "at+jwt", b.claims(func(c map[string]any) { delete(c, "exp") })),
		"not yet":               sign(t, jose.ES256, own, kid, "at+jwt", edit("nbf", now.Add(12*time.Second).Unix())),
		"another audience":      sign(t, jose.ES256, own, kid, "at+jwt", edit("aud", "https://elsewhere.test")),
		"no audience":           sign(t, jose.ES256, own, kid, "at+jwt", b.claims(func(c map[string]any) { delete(c, "aud") })),
		"another issuer":        sign(t, jose.ES256, own, kid, "at+jwt", edit("iss", "https://elsewhere.test")),
		"another tenant":        sign(t, jose.ES256, own, kid, "at+jwt", edit("tenant", "other")),
		"another application":   sign(t, jose.ES256, own, kid, "at+jwt", edit("client_id", "app_x")),
	} {
		_, err := b.tokens.Verify(t.Context(), token)
		b.wantKind(what, err, domain.KindUnauthorized)
	}
}

func TestScopeTakenAway(t *testing.T) {
	b := newBench(t, auth.Outside{})
	bare, _, err := b.cat.CreateApplication(t.Context(), "acme", "bare", nil)
	b.must(err)
	token, _, err := b.tokens.Issue(t.Context(), bare, auth.Scopes())
	b.must(err)
	caller, err := b.tokens.Verify(t.Context(), token)
	b.must(err)
	if len(caller.Scopes) > 0 {
		t.Fatalf("the token gives %v to an application that has no scope", caller.Scopes)
	}
}

func FuzzVerify(f *testing.F) {
	b := newBench(f, auth.Outside{})
	good, _, err := b.tokens.Issue(f.Context(), b.app, b.app.Scopes)
	b.must(err)
	f.Add(good)
	f.Add("")
	f.Add("a.b.c")
	f.Add(strings.Repeat(".", 100))
	f.Fuzz(func(t *testing.T, token string) {
		_, err := b.tokens.Verify(t.Context(), token)
		// A JWS has more than one spelling of its base64; the claims are the signed ones all the same.
		if err != nil && domain.KindOf(err) != domain.KindUnauthorized {
			t.Fatalf("%q: %v", token, err)
		}
		if err == nil && strings.Split(token, ".")[1] != strings.Split(good, ".")[1] {
			t.Fatalf("%q was accepted", token)
		}
	})
}

// TestKnownTokenEnds: a token whose signature was verified before ends with its application all the same.
func TestKnownTokenEnds(t *testing.T) {
	b := newBench(t, auth.Outside{})
	token, _, err := b.tokens.Issue(t.Context(), b.app, b.app.Scopes)
	b.must(err)
	verify := func(want domain.Kind) {
		t.Helper()
		if _, err := b.tokens.Verify(t.Context(), token); domain.KindOf(err) != want {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
	for range 2 {
		verify("")
		verify("")
		b.must(b.cat.DisableApplication(t.Context(), b.app.ID, true))
		verify(domain.KindUnauthorized)
		verify(domain.KindUnauthorized)
		b.must(b.cat.DisableApplication(t.Context(), b.app.ID, false))
		verify(domain.KindUnauthorized) // what a disabling ended stays ended
		b.app, err = b.cat.Application(t.Context(), b.app.ID)
		b.must(err)
		token, _, err = b.tokens.Issue(t.Context(), b.app, b.app.Scopes)
		b.must(err)
	}
	verify("")
	b.must(b.cat.DeleteApplication(t.Context(), b.app.ID))
	verify(domain.KindUnauthorized)
}
