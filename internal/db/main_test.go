package db

import (
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// databases gives the URL of a new database of each kind, by name.
func databases(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"sqlite":   "sqlite://" + filepath.Join(t.TempDir(), "test.db"),
		"postgres": testenv.Postgres(t),
	}
}

// steps is a schema in so many steps, of at most four. The third one changes a table that the
// first one made.
func steps(n int) fstest.MapFS {
	all := []struct{ name, text string }{
		{"00001_init.sql", `CREATE TABLE schema_support (oldest BIGINT NOT NULL); INSERT INTO schema_support (oldest) VALUES (0);
			CREATE TABLE things (name TEXT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0 CHECK (n < 1000));`},
		{"00002_more.sql", `CREATE TABLE more (name TEXT PRIMARY KEY, n BIGINT);`},
		{"00003_column.sql", `ALTER TABLE things ADD COLUMN note TEXT NOT NULL DEFAULT '';`},
		{"00004_last.sql", `CREATE TABLE last (n BIGINT);`},
	}
	files := fstest.MapFS{}
	for _, s := range all[:n] {
		for _, dir := range []string{"sqlite", "postgres"} {
			files[dir+"/"+s.name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + s.text + "\n")}
		}
	}
	return files
}

// open opens a database until the test ends. Its schema has so many steps, which are not taken.
func open(t testing.TB, url string, n int) *DB {
	t.Helper()
	d, err := Open(t.Context(), url, steps(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// migrated opens a database with its schema.
func migrated(t testing.TB, url string) *DB {
	t.Helper()
	d := open(t, url, 4)
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// number reads one number.
func number(t testing.TB, q Querier, query string, args ...any) (n int64) {
	t.Helper()
	must(t, q.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}
