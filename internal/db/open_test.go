package db

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// TestReadCommitted: transactions see what others committed while they waited for a lock, whatever
// the server's default is.
func TestReadCommitted(t *testing.T) {
	url := testenv.Postgres(t)
	_, err := open(t, url, 4).ExecContext(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), 'repeatable read'); END $$`)
	must(t, err)
	d := open(t, url, 4)
	migrator := d.migrator()
	defer func() { must(t, migrator.Close()) }()
	for name, pool := range map[string]*sql.DB{"writing": d.write, "reading": d.read, "migrations": migrator} {
		var isolation, without string
		err := pool.QueryRowContext(t.Context(), `SELECT setting, reset_val FROM pg_settings WHERE name = 'default_transaction_isolation'`).Scan(&isolation, &without)
		if err != nil || isolation != "read committed" || without != "repeatable read" {
			t.Errorf("%s: %q, without us %q, error %v", name, isolation, without, err)
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

// TestSQLiteOverwritesWhatIsDeleted: what was erased does not stay in unused pages of the file.
func TestSQLiteOverwritesWhatIsDeleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	d := migrated(t, "sqlite://"+path)
	for _, query := range []string{
		`INSERT INTO things (name) VALUES ('` + strings.Repeat("a secret ", 1000) + `')`, `INSERT INTO things (name) VALUES ('stays')`,
		`PRAGMA wal_checkpoint(TRUNCATE)`, `DELETE FROM things WHERE name <> 'stays'`, `PRAGMA wal_checkpoint(TRUNCATE)`,
	} {
		if _, err := d.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if must(t, err); !bytes.Contains(file, []byte("stays")) || bytes.Contains(file, []byte("secret")) {
		t.Errorf("of what was deleted %d copies are in the file", bytes.Count(file, []byte("secret")))
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

// TestOpenReadOnly reads a file that is in use, one that was left by a killed process and one that
// was closed, and changes nothing there.
func TestOpenReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "test.db")
	d, err := Open(t.Context(), "sqlite://"+path, steps(4))
	must(t, err)
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "test.db")
	look := func(path string) {
		t.Helper()
		before := filesIn(t, filepath.Dir(path))
		r, err := OpenReadOnly(t.Context(), "sqlite://"+path, steps(4))
		must(t, err)
		if err := r.CheckSchema(t.Context()); err != nil {
			t.Error(err)
		}
		if s, err := r.Inspect(t.Context()); err != nil || s.ReadOnly {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := r.ExecContext(t.Context(), `INSERT INTO things (name) VALUES ('x')`); err == nil {
			t.Error("it can be written")
		}
		must(t, r.Close())
		if d := cmp.Diff(before, filesIn(t, filepath.Dir(path))); d != "" {
			t.Errorf("it changed files (-before +after):\n%s", d)
		}
	}
	look(path)
	for name, text := range filesIn(t, dir) {
		must(t, os.WriteFile(filepath.Join(filepath.Dir(killed), name), []byte(text), 0o600))
	}
	look(killed)
	must(t, os.Remove(killed+"-shm"))
	if _, err := OpenReadOnly(t.Context(), "sqlite://"+killed, steps(4)); domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(err.Error(), "index") {
		t.Errorf("a log without its index: %v", err)
	}
	must(t, d.Close())
	look(path)
}

// filesIn gives the files of a directory with their contents.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		files[e.Name()] = string(text)
	}
	return files
}
