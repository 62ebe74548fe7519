package auth_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
)

const master = "a master key of at least 32 characters"

func TestKeysUnderAMasterKey(t *testing.T) {
	ctx := t.Context()
	c := openCatalog(t)
	_, err := auth.OpenKeyring(ctx, c, master, time.Now)
	if domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(err.Error(), "callvault migrate up") {
		t.Fatalf("without keys: %v", err)
	}
	if n, err := auth.EnsureKeys(ctx, c, master); err != nil || n != 4 {
		t.Fatalf("made %d keys: %v", n, err)
	}
	if n, err := auth.EnsureKeys(ctx, c, master); err != nil || n != 0 {
		t.Fatalf("made %d keys again: %v", n, err)
	}
	stored, err := c.SigningKeys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range stored {
		if !k.Encrypted {
			t.Fatalf("the %s key is not encrypted", k.Purpose)
		}
	}
	if _, err := auth.OpenKeyring(ctx, c, master, time.Now); err != nil {
		t.Fatal(err)
	}
	for wrong, text := range map[string]string{"": "set CALLVAULT_MASTER_KEY", master + "x": "CALLVAULT_MASTER_KEY does not open"} {
		_, err := auth.OpenKeyring(ctx, c, wrong, time.Now)
		if domain.KindOf(err) != domain.KindInvalid || !strings.Contains(err.Error(), text) {
			t.Fatalf("with %q: %v", wrong, err)
		}
		if _, err := auth.RotateKeys(ctx, c, wrong, audit.Origin{}); domain.KindOf(err) != domain.KindInvalid {
			t.Fatalf("rotated with %q: %v", wrong, err)
		}
	}
}

func TestMasterKeyComesLater(t *testing.T) {
	for what, encrypt := range map[string]func(*fixture) (int, error){
		"ensured": func(f *fixture) (int, error) { return auth.EnsureKeys(f.Context(), f.cat, master) },
		"rotated": func(f *fixture) (int, error) { return auth.RotateKeys(f.Context(), f.cat, master, audit.Origin{}) },
	} {
		f := newFixture(t, auth.OIDC{})
		link := f.keys.Sign(t.Context(), auth.PurposeLink, "", []byte("x"))
		_, err := encrypt(f)
		f.must(err)
		stored, err := f.cat.SigningKeys(t.Context())
		f.must(err)
		for _, k := range stored {
			if !k.Encrypted {
				t.Fatalf("%s: the %s key stayed as it was", what, k.Purpose)
			}
		}
		keys, err := auth.OpenKeyring(t.Context(), f.cat, master, f.clock.now)
		f.must(err)
		if _, err := keys.Verify(t.Context(), auth.PurposeLink, "", link); err != nil {
			t.Fatalf("%s: the key is another: %v", what, err)
		}
	}
}

func TestRotation(t *testing.T) {
	f := newFixture(t, auth.OIDC{})
	ctx := t.Context()
	before, _, err := f.tokens.Issue(ctx, f.app, f.app.Scopes)
	f.must(err)
	if n, err := auth.RotateKeys(ctx, f.cat, "", audit.Origin{}); err != nil || n != 3 {
		t.Fatalf("rotated %d keys: %v", n, err)
	}
	keys, err := auth.OpenKeyring(ctx, f.cat, "", f.clock.now)
	f.must(err)
	other := auth.NewTokens(auth.Config{Issuer: issuer}, keys, f.cat, f.clock.now)
	if n := len(other.Public(ctx).Keys); n != 2 {
		t.Fatalf("%d public keys, want the old and the new", n)
	}
	_, err = verifyBy(f, other, before)
	f.must(err)
	after, _, err := other.Issue(ctx, f.app, f.app.Scopes)
	f.must(err)
	_, err = f.verify(after) // this replica reads the new key now
	f.must(err)

	// Without a request for an unknown key, this replica signs with the old one until it reads
	// again.
	f.clock.pass(31 * time.Second)
	if n := len(f.tokens.Public(ctx).Keys); n != 2 {
		t.Fatalf("%d public keys after half a minute", n)
	}
	f.must(catalogtest.ShiftClock(ctx, f.cat, 9*24*time.Hour))
	_, err = auth.RotateKeys(ctx, f.cat, "", audit.Origin{})
	f.must(err)
	stored, err := f.cat.SigningKeys(ctx)
	f.must(err)
	if len(stored) != 7 { // the current and the previous ones, and that of erasures, which is never rotated; the first ones are deleted
		t.Fatalf("%d keys stand", len(stored))
	}
}

// countedKeys counts how often the keys are read.
type countedKeys struct {
	auth.KeyStore
	reads int
}

func (c *countedKeys) SigningKeys(ctx context.Context) ([]catalog.SigningKey, error) {
	c.reads++
	return c.KeyStore.SigningKeys(ctx)
}

// TestUnknownKeys checks that tokens that name keys which do not exist cause one read of the
// catalog a second.
func TestUnknownKeys(t *testing.T) {
	f := newFixture(t, auth.OIDC{})
	store := &countedKeys{KeyStore: f.cat}
	keys, err := auth.OpenKeyring(t.Context(), store, "", f.clock.now)
	f.must(err)
	tokens := auth.NewTokens(auth.Config{Issuer: issuer}, keys, f.cat, f.clock.now)
	own, _ := f.ownKey()
	for second := range 3 {
		for range 10 {
			_, err := keys.OpenLink(t.Context(), base64.RawURLEncoding.EncodeToString([]byte(rand.Text()+rand.Text())))
			f.wantKind("a link", err, domain.KindUnauthorized)
			_, err = tokens.Verify(t.Context(), sign(t, jose.ES256, own, rand.Text(), "at+jwt", f.claims(nil)))
			f.wantKind("an access token", err, domain.KindUnauthorized)
		}
		if store.reads != 2+second {
			t.Errorf("after %d s the keys were read %d times", second, store.reads)
		}
		f.clock.pass(time.Second)
	}
}

func TestSignatureIsBound(t *testing.T) {
	f := newFixture(t, auth.OIDC{})
	ctx := t.Context()
	token := f.keys.Sign(ctx, auth.PurposeCursor, "acme/list", []byte("position"))
	got, err := f.keys.Verify(ctx, auth.PurposeCursor, "acme/list", token)
	if err != nil || string(got) != "position" {
		t.Fatalf("%q, %v", got, err)
	}
	_, err = f.keys.Verify(ctx, auth.PurposeCursor, "acme/other", token)
	f.wantKind("about something else", err, domain.KindUnauthorized)
	_, err = f.keys.Verify(ctx, auth.PurposeLink, "acme/list", token)
	f.wantKind("for another purpose", err, domain.KindUnauthorized)
}

func FuzzOpenLink(f *testing.F) {
	fx := newFixture(f, auth.OIDC{})
	good := fx.keys.SignLink(f.Context(), auth.Link{HourKey: domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 14}, Revision: 3,
		Archive: "0123456789abcdef01234567", Expires: time.Unix(1765555200, 0)})
	f.Add(good)
	f.Add("")
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, token string) {
		l, err := fx.keys.OpenLink(t.Context(), token)
		if (err == nil) != (token == good) {
			t.Fatalf("%q: %+v, %v", token, l, err)
		}
		if err != nil && domain.KindOf(err) != domain.KindUnauthorized {
			t.Fatalf("%q: %v", token, err)
		}
	})
}
