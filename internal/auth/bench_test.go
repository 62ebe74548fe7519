package auth_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
)

const issuer = "https://vault.test"

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bench is a catalog with a tenant, its application and the keys.
type bench struct {
	testing.TB
	clock  *clock
	cat    *catalog.Catalog
	keys   *auth.Keyring
	tokens *auth.Tokens
	app    catalog.Application
}

func openCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	return catalogtest.Open(t, "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"))
}

func newBench(t testing.TB, outside auth.Outside) *bench {
	t.Helper()
	ctx := context.Background()
	b := &bench{TB: t, clock: &clock{at: time.Now()}, cat: openCatalog(t)}
	_, err := b.cat.CreateTenant(ctx, domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5})
	b.must(err)
	_, err = auth.EnsureKeys(ctx, b.cat, "")
	b.must(err)
	b.keys, err = auth.OpenKeyring(ctx, b.cat, "", b.clock.now)
	b.must(err)
	b.app, _, err = b.cat.CreateApplication(ctx, "acme", "tests", auth.Scopes())
	b.must(err)
	b.tokens = auth.NewTokens(auth.Config{Issuer: issuer, Outside: outside}, b.keys, b.cat, b.clock.now)
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) wantKind(what string, err error, kind domain.Kind) {
	b.Helper()
	if domain.KindOf(err) != kind {
		b.Fatalf("%s: got %v of kind %q, want %q", what, err, domain.KindOf(err), kind)
	}
}
