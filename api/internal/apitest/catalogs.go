package apitest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/testenv"
)

// SQLite gives the URL of a new, migrated SQLite catalog with signing keys.
func SQLite(t testing.TB) string {
	t.Helper()
	url := "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")
	if err := prepare(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url
}

// Postgres gives the URL of a new, migrated PostgreSQL catalog with signing keys.
func Postgres(t testing.TB) string {
	t.Helper()
	return testenv.PostgresFrom(t, "api", func(url string) error { return prepare(context.Background(), url) })
}

// LargePostgres gives the URL of a catalog on a PostgreSQL with much memory, for benchmarks.
func LargePostgres(t testing.TB) string {
	t.Helper()
	url := testenv.LargePostgres(t).URL()
	if err := prepare(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url
}

// Databases gives both by name, for tests that run on each.
func Databases() map[string]func(testing.TB) string {
	return map[string]func(testing.TB) string{"sqlite": SQLite, "postgres": Postgres}
}

// prepare migrates a database and makes its keys.
func prepare(ctx context.Context, url string) (err error) {
	c, err := catalog.Open(ctx, url, catalog.Rules{})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := c.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := c.DB().Migrate(ctx); err != nil {
		return err
	}
	_, err = auth.EnsureKeys(ctx, c, "")
	return err
}
