// Package plantest fills the catalog's tables for tests of query plans, and finds plans that read
// too much. Only tests import it.
package plantest

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/migrations"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/db/dbtest"
	"github.com/callvault/callvault/internal/testenv"
)

// Databases gives the URL of a new database of each kind, by name.
func Databases(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"sqlite":   "sqlite://" + filepath.Join(t.TempDir(), "catalog.db"),
		"postgres": testenv.Postgres(t),
	}
}

// Open opens and migrates a database, and closes it when the test ends.
func Open(t testing.TB, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url, migrations.Files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// history fills a catalog with 5,000 tenants, 100,000 days and 240,000 hours that are finished,
// half of them past retention, and a few hours that wait, run or were dispatched.
const history = `
INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
	SELECT 't' || i, 't', TRUE, FALSE, 3 + i % 2, 5, 5, 0 FROM n;
INSERT INTO days (tenant, day, closes_us, planned_us, completed_us, expired_us)
	SELECT id, '2020-01-01', 1577923200000000, 1, 1, 1 FROM tenants;
INSERT INTO days (tenant, day, closes_us, planned_us, completed_us)
	SELECT id, '2025-01-01', 1735776000000000, 1, (SELECT now_us FROM catalog_clock) FROM tenants;
INSERT INTO archives (object_key, tenant, day, hour, revision, token, state, size, created_us, published_us, checked_us)
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 11)
	SELECT d.tenant || '/' || i, d.tenant, d.day, i, 1, d.tenant || '-' || i, 'published', 1, 1, 1, (SELECT now_us FROM catalog_clock)
	FROM days d, n WHERE d.expired_us IS NULL;
INSERT INTO hours (tenant, day, hour, state, planned, wanted, built)
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 23)
	SELECT d.tenant, d.day, i, CASE WHEN d.expired_us IS NULL THEN 'available' ELSE 'expired' END, TRUE, 1, CASE WHEN d.expired_us IS NULL THEN 1 ELSE 0 END
	FROM days d, n;
INSERT INTO days (tenant, day, closes_us, planned_us, completed_us, expired_us)
	WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 27)
	SELECT id, '2019-01-' || i, 1, 1, 1, 1 FROM tenants, n;
UPDATE hours SET archive = (SELECT object_key FROM archives a WHERE a.tenant = hours.tenant AND a.day = hours.day AND a.hour = hours.hour)
	WHERE day = '2025-01-01' AND hour < 12;
UPDATE hours SET wanted = 2, due_us = 1 WHERE day = '2025-01-01' AND hour = 1 AND tenant LIKE 't10%';
UPDATE hours SET dispatched_us = 1, dispatch_epoch = 'e' WHERE day = '2025-01-01' AND hour = 1 AND tenant LIKE 't101%';
UPDATE hours SET token = 'x', lease_us = 1 WHERE day = '2025-01-01' AND hour = 1 AND tenant LIKE 't102%';
UPDATE hours SET recheck_us = 1 WHERE day = '2025-01-01' AND hour = 1 AND tenant LIKE 't103%';
UPDATE archives SET state = 'doomed', delete_after_us = 1 WHERE tenant LIKE 't104%';
UPDATE archives SET state = 'superseded', delete_after_us = 1 WHERE tenant LIKE 't105%'`

// History gives a database that is filled with history and more.
func History(t *testing.T, url, more string, questions map[string]dbtest.Question) *db.DB {
	t.Helper()
	statements := history
	if more != "" {
		statements += ";\n" + more
	}
	if strings.HasPrefix(url, "sqlite:") { // SQLite is never analyzed in production: its plans are the same with less
		statements = strings.Replace(statements, "i < 5000", "i < 1100", 1)
	}
	d := Open(t, url)
	dbtest.Fill(t, d, statements, questions)
	return d
}

// WholeScan gives the first line of a plan that reads all hours, days or archives. A scan of a
// partial index is allowed, because those have only open work.
func WholeScan(postgres bool, plan []string) string {
	whole := regexp.MustCompile(`^SCAN (hours|days|archives|h|d|a)( USING (COVERING )?INDEX (sqlite_autoindex|archives_hour|days_end|archives_check)\w*)?$`)
	if postgres {
		whole = regexp.MustCompile(`Seq Scan on (hours|days|archives)`)
	}
	for _, line := range plan {
		if whole.MatchString(line) {
			return line
		}
	}
	return ""
}
