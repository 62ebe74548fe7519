package auth_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// TestReseal changes the master key while a replica runs with the former one.
func TestReseal(t *testing.T) {
	const next = "another master key of 32 characters"
	ctx := t.Context()
	c := openCatalog(t)
	if _, err := auth.EnsureKeys(ctx, c, master); err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	serving, err := auth.OpenKeyring(ctx, c, master, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	token := serving.Sign(ctx, auth.PurposeLink, "", []byte("x"))
	associated := func(endpoint string) string { return (&url.URL{Path: endpoint}).String() }
	for former, key := range map[string]string{"": next, master: "", master + "x": next} {
		if _, err := auth.Reseal(ctx, c, former, key, associated, audit.Origin{}); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("from %q to %q: %v", former, key, err)
		}
	}
	for range 2 {
		if n, err := auth.Reseal(ctx, c, master, next, associated, audit.Origin{}); err != nil || n != 4 {
			t.Fatalf("%d are sealed, error %v", n, err)
		}
	}
	if _, err := auth.OpenKeyring(ctx, c, master, time.Now); domain.KindOf(err) != domain.KindInvalid {
		t.Errorf("the former master key still opens: %v", err)
	}
	// The running replica goes on with the keys that it has read.
	clock = clock.Add(time.Hour)
	if payload, err := serving.Verify(ctx, auth.PurposeLink, "", token); err != nil || string(payload) != "x" {
		t.Errorf("%q, %v", payload, err)
	}
	fresh, err := auth.OpenKeyring(ctx, c, next, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range []string{token, serving.Sign(ctx, auth.PurposeLink, "", []byte("x"))} {
		if payload, err := fresh.Verify(ctx, auth.PurposeLink, "", signed); err != nil || string(payload) != "x" {
			t.Errorf("%q, %v", payload, err)
		}
	}
}
