package catalog_test

import (
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
			return catalogtest.Open(t, databases()["sqlite"](t))
		},
		"postgres": func(t *testing.T) *catalog.Catalog {
			t.Helper()
			return catalogtest.Open(t, catalogtest.Postgres(t))
		},
	}
}

func TestHours(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) { catalogtest.RunHours(t, open) })
	}
}

func TestHolds(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) { catalogtest.RunHolds(t, open) })
	}
}
