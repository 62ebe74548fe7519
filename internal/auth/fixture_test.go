package auth_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
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

// fixture is a catalog with a tenant, its application and the keys.
type fixture struct {
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

func newFixture(t testing.TB, oidc auth.OIDC) *fixture {
	t.Helper()
	ctx := context.Background()
	f := &fixture{TB: t, clock: &clock{at: time.Now()}, cat: openCatalog(t)}
	_, err := f.cat.CreateTenant(ctx, domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5, Recordings: true}, audit.Origin{})
	f.must(err)
	_, err = auth.EnsureKeys(ctx, f.cat, "")
	f.must(err)
	f.keys, err = auth.OpenKeyring(ctx, f.cat, "", f.clock.now)
	f.must(err)
	f.app, _, err = f.cat.CreateApplication(ctx, "acme", "tests", auth.Scopes(), audit.Origin{})
	f.must(err)
	f.tokens = auth.NewTokens(auth.Config{Issuer: issuer, OIDC: oidc}, f.keys, f.cat, f.clock.now)
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantKind(what string, err error, kind domain.Kind) {
	f.Helper()
	if domain.KindOf(err) != kind {
		f.Fatalf("%s: got %v of kind %q, want %q", what, err, domain.KindOf(err), kind)
	}
}

// verify verifies a token and asks the catalog about its application, as the day request does.
func (f *fixture) verify(token string) (auth.SignedClaims, error) {
	return verifyBy(f, f.tokens, token)
}

func verifyBy(f *fixture, tokens *auth.Tokens, token string) (auth.SignedClaims, error) {
	claims, err := tokens.Verify(f.Context(), token)
	if err != nil {
		return claims, err
	}
	_, err = f.cat.CheckDay(f.Context(), catalog.DayRequest{TokenClaims: claims.TokenClaims, Scope: auth.ScopeDataService, Day: domain.DayOf(time.Now())})
	return claims, err
}
