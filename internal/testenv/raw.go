package testenv

import (
	"database/sql"
	"strings"
	"testing"
)

// Raw opens the database behind a catalog's URL without the catalog, not synced to disk. The drivers
// are the catalog's: the test has to import it.
func Raw(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, source := "pgx", url
	if path, isFile := strings.CutPrefix(url, "sqlite://"); isFile {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(0)&_pragma=cache_size(-262144)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
