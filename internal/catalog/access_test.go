package catalog_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestAccessSQLite(t *testing.T) {
	catalogtest.RunAccess(t, func(t *testing.T) *catalog.Catalog {
		return openFor(t, "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"))
	})
}

func TestAccessPostgres(t *testing.T) {
	catalogtest.RunAccess(t, func(t *testing.T) *catalog.Catalog { return openFor(t, testenv.Postgres(t)) })
}

// openFor opens and migrates a catalog until the test ends.
func openFor(t *testing.T, url string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(context.Background(), url, catalog.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}
