package testenv

import (
	"database/sql"
	"strings"
	"testing"
)

// Raw opens a catalog's database directly, without syncs to disk. The test must import the catalog,
// which registers the drivers.
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
