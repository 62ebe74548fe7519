package catalog

import (
	"database/sql"
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
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNothingIsCompiled: the server compiles statements for everybody else, and for none of our
// connections.
func TestNothingIsCompiled(t *testing.T) {
	c := OpenMigrated(t, testenv.Postgres(t))
	steps := c.migrator()
	defer func() {
		if err := steps.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, db := range map[string]*sql.DB{"writing": c.write.DB, "reading": c.read.DB, "steps": steps} {
		var setting, without string
		err := db.QueryRowContext(t.Context(), `SELECT setting, reset_val FROM pg_settings WHERE name = 'jit'`).Scan(&setting, &without)
		if err != nil || setting != "off" || without != "on" {
			t.Errorf("%s: jit is %q, without us %q, error %v", name, setting, without, err)
		}
	}
}
