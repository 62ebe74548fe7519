package catalogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/testenv"
)

// Postgres gives the URL of a new, migrated PostgreSQL catalog.
func Postgres(t testing.TB) string {
	t.Helper()
	return testenv.PostgresFrom(t, "catalog", func(url string) error {
		c, err := catalog.Open(context.Background(), url, catalog.Rules{})
		if err != nil {
			return err
		}
		_, err = c.DB().Migrate(context.Background())
		return errors.Join(err, c.Close())
	})
}

// Open opens and migrates a catalog, and closes it when the test ends.
func Open(t testing.TB, url string) *catalog.Catalog {
	t.Helper()
	return OpenWith(t, url, catalog.Rules{})
}

// OpenWith is [Open] with other rules.
func OpenWith(t testing.TB, url string, rules catalog.Rules) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(context.WithoutCancel(t.Context()), url, rules)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.DB().Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}
