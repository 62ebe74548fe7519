package catalog

import (
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/internal/testenv"
)

// databases gives the URL of a new database of each kind, by name.
func databases(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"sqlite":   "sqlite://" + filepath.Join(t.TempDir(), "catalog.db"),
		"postgres": testenv.Postgres(t),
	}
}

// OpenMigrated opens a catalog with its schema until the test ends.
func OpenMigrated(t testing.TB, url string) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), url, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}
