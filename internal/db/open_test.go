package db

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestOpen refuses URLs that name no database that it knows.
func TestOpen(t *testing.T) {
	for _, url := range []string{"", "mysql://host/name", "sqlite://", "postgres://host:port/name", "\x00"} {
		if _, err := Open(t.Context(), url, steps(1)); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// TestNothingIsCompiled: the server compiles statements for everybody else, and for none of our
// connections.
func TestNothingIsCompiled(t *testing.T) {
	d := migrated(t, testenv.Postgres(t))
	migrator := d.migrator()
	defer func() { must(t, migrator.Close()) }()
	for name, pool := range map[string]*sql.DB{"writing": d.write, "reading": d.read, "migrations": migrator} {
		var setting, without string
		err := pool.QueryRowContext(t.Context(), `SELECT setting, reset_val FROM pg_settings WHERE name = 'jit'`).Scan(&setting, &without)
		if err != nil || setting != "off" || without != "on" {
			t.Errorf("%s: jit is %q, without us %q, error %v", name, setting, without, err)
		}
	}
}

// TestSQLiteFilesAreTheirOwnersAlone: a database holds transcripts, phone numbers and signing keys.
func TestSQLiteFilesAreTheirOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	migrated(t, "sqlite://"+path)
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

// TestInspect asks the databases about themselves.
func TestInspect(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			s, err := migrated(t, url).Inspect(t.Context())
			if err != nil || s.Version == "" || s.Encoding != "UTF8" || s.ReadOnly || !s.MayCreate || s.Foreign != 0 {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
