package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
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
	if n, err := auth.EnsureKeys(ctx, c, master); err != nil || n != 3 {
		t.Fatalf("made %d keys: %v", n, err)
	}
	if n, err := auth.EnsureKeys(ctx, c, master); err != nil || n != 0 {
		t.Fatalf("made %d keys again: %v", n, err)
	}
	stored, _, err := c.Keys(ctx)
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
		if _, err := auth.RotateKeys(ctx, c, wrong); domain.KindOf(err) != domain.KindInvalid {
			t.Fatalf("rotated with %q: %v", wrong, err)
		}
	}
}

func TestMasterKeyComesLater(t *testing.T) {
	b := newBench(t, auth.Outside{})
	link := b.keys.Seal(t.Context(), auth.PurposeLink, "", []byte("x"))
	_, err := auth.EnsureKeys(t.Context(), b.cat, master)
	b.must(err)
	stored, _, err := b.cat.Keys(t.Context())
	b.must(err)
	for _, k := range stored {
		if !k.Encrypted {
			t.Fatalf("the %s key stayed as it was", k.Purpose)
		}
	}
	keys, err := auth.OpenKeyring(t.Context(), b.cat, master, b.clock.now)
	b.must(err)
	if _, err := keys.Unseal(t.Context(), auth.PurposeLink, "", link); err != nil {
		t.Fatalf("the key is another: %v", err)
	}
}

func TestRotation(t *testing.T) {
	b := newBench(t, auth.Outside{})
	ctx := t.Context()
	before, _, err := b.tokens.Issue(ctx, b.app, b.app.Scopes)
	b.must(err)
	if n, err := auth.RotateKeys(ctx, b.cat, ""); err != nil || n != 3 {
		t.Fatalf("rotated %d keys: %v", n, err)
	}
	keys, err := auth.OpenKeyring(ctx, b.cat, "", b.clock.now)
	b.must(err)
	other := auth.NewTokens(auth.Config{Issuer: issuer}, keys, b.cat, b.clock.now)
	if n := len(other.Public(ctx).Keys); n != 2 {
		t.Fatalf("%d public keys, want the old and the new", n)
	}
	_, err = other.Verify(ctx, before)
	b.must(err)
	after, _, err := other.Issue(ctx, b.app, b.app.Scopes)
	b.must(err)
	_, err = b.tokens.Verify(ctx, after) // a key that this replica learns of now
	b.must(err)

	// Nobody asks for an unknown key, so this replica signs with the old one until it looks again.
	b.clock.pass(31 * time.Second)
	if n := len(b.tokens.Public(ctx).Keys); n != 2 {
		t.Fatalf("%d public keys after half a minute", n)
	}
	b.must(b.cat.ShiftClock(ctx, 9*24*time.Hour))
	_, err = auth.RotateKeys(ctx, b.cat, "")
	b.must(err)
	stored, _, err := b.cat.Keys(ctx)
	b.must(err)
	if len(stored) != 6 { // the current and the ones before; the first ones are forgotten
		t.Fatalf("%d keys stand", len(stored))
	}
}

func TestSealIsBound(t *testing.T) {
	b := newBench(t, auth.Outside{})
	ctx := t.Context()
	token := b.keys.Seal(ctx, auth.PurposeCursor, "acme/list", []byte("position"))
	got, err := b.keys.Unseal(ctx, auth.PurposeCursor, "acme/list", token)
	if err != nil || string(got) != "position" {
		t.Fatalf("%q, %v", got, err)
	}
	_, err = b.keys.Unseal(ctx, auth.PurposeCursor, "acme/other", token)
	b.wantKind("about something else", err, domain.KindUnauthorized)
	_, err = b.keys.Unseal(ctx, auth.PurposeLink, "acme/list", token)
	b.wantKind("for another purpose", err, domain.KindUnauthorized)
}

func FuzzOpenLink(f *testing.F) {
	b := newBench(f, auth.Outside{})
	good := b.keys.SealLink(f.Context(), auth.Link{HourKey: domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 14}, Revision: 3,
		Archive: "0123456789abcdef01234567", Expires: time.Unix(1765555200, 0)})
	f.Add(good)
	f.Add("")
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, token string) {
		l, err := b.keys.OpenLink(t.Context(), token)
		if (err == nil) != (token == good) {
			t.Fatalf("%q: %+v, %v", token, l, err)
		}
		if err != nil && domain.KindOf(err) != domain.KindUnauthorized {
			t.Fatalf("%q: %v", token, err)
		}
	})
}
