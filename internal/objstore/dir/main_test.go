package dir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

func store() objstoretest.Store {
	return objstoretest.Store{
		New:  func(t testing.TB) string { return filepath.Join(t.TempDir(), "objects", "archives") },
		Open: func(where string) (objstoretest.Bucket, error) { return Open(Config{Path: where, Alone: true}) },
	}
}

func TestMain(m *testing.M) {
	if !objstoretest.Writes(store()) {
		os.Exit(m.Run())
	}
}

func TestDirectory(t *testing.T) { objstoretest.Run(t, store()) }
