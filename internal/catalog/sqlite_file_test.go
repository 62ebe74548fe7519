package catalog_test

import (
	"os"
	"path/filepath"
	"testing"
)

// A catalog holds transcripts, phone numbers and signing keys.
func TestSQLiteFilesAreTheirOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := open(t, "sqlite://"+path)
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", filepath.Base(name), mode)
		}
	}
}
