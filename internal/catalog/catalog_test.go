package catalog_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// databases gives a function that creates an empty database, by the database's name.
func databases() map[string]func(t *testing.T) string {
	return map[string]func(t *testing.T) string{
		"sqlite": func(t *testing.T) string {
			t.Helper()
			return "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")
		},
		"postgres": func(t *testing.T) string {
			t.Helper()
			return testenv.Postgres(t)
		},
	}
}

// openers gives a function that opens an empty, migrated catalog, by the database's name.
func openers() map[string]func(t *testing.T) *catalog.Catalog {
	return map[string]func(t *testing.T) *catalog.Catalog{
		"sqlite": func(t *testing.T) *catalog.Catalog {
			t.Helper()
			c := open(t, databases()["sqlite"](t))
			if _, err := c.DB().Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			return c
		},
		"postgres": func(t *testing.T) *catalog.Catalog {
			t.Helper()
			return open(t, testenv.PostgresFrom(t, "catalog", func(url string) error {
				c, err := catalog.Open(t.Context(), url, catalog.Rules{})
				if err != nil {
					return err
				}
				_, err = c.DB().Migrate(t.Context())
				return errors.Join(err, c.Close())
			}))
		},
	}
}

// open opens a catalog with the default rules, closed when the test ends.
func open(t *testing.T, url string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), url, catalog.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestHours(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) { catalogtest.RunHours(t, open) })
	}
}
