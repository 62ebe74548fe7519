package admin_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

func run(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// pagesOf gives the addresses of the pages of a tenant and a day.
func pagesOf(tenant string, day domain.Day) map[string]string {
	of := "/admin/tenants/" + tenant
	return map[string]string{
		"calendar": "/admin", "search": "/admin?q=" + tenant[1:3], "incomplete": "/admin?incomplete=true", "calendar-500": "/admin?limit=500", "tenant": of,
		"day": of + "/days/" + string(day), "hour": of + "/days/" + string(day) + "/hours/08",
		"running": "/admin/running", "failed": "/admin/failed",
	}
}

// TestPagesReadNoRecordings drops every table that grows with recordings and messages. All pages
// open as before, so their cost does not grow with those.
func TestPagesReadNoRecordings(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			url := database(t)
			f := newFixture(t, url, nil)
			fillMonth(f)
			session := f.session()
			db := testenv.Raw(t, url)
			for _, table := range []string{"recordings", "objects", "messages", "transcripts", "conversations", "agents", "archive_sessions", "window_uses", "windows"} {
				run(t, db, "DROP TABLE "+table)
			}
			for page, path := range pagesOf("acme", f.day) {
				if a := f.ask("GET", path, "", "Cookie", session); a.Status != 200 {
					t.Errorf("%s answers %d: %s", page, a.Status, a.Body)
				}
			}
		})
	}
}

const (
	scaleTenants = 5000
	scaleDays    = 30
)

// insertTenants gives the statements that insert 5,000 tenants with 30 days of 24 hours each. Half
// of the hours have an archive, a few failed, are being built or wait. There is an audit log too.
func insertTenants(last domain.Day) []string {
	list := []string{fmt.Sprintf(`INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT 't' || (10000 + i), 'Tenant ' || i, TRUE, FALSE, 40, 5, 5, 0 FROM n`, scaleTenants)}
	for back := range scaleDays {
		day := last.Add(-back)
		end := day.End().UnixMicro()
		list = append(list, fmt.Sprintf(`INSERT INTO days (tenant, day, closes_us, planned_us, completed_us, total_sessions, total_files, total_bytes, n_available, n_no_data)
				SELECT id, '%s', %d, %d, %d, 300, 1000, 50000000, 12, 12 FROM tenants WHERE id LIKE 't1%%'`, day, end, end, end),
			fmt.Sprintf(`INSERT INTO archives (object_key, tenant, day, hour, revision, token, state, size, file_count, session_count, created_us, published_us, checked_us)
				WITH RECURSIVE n(i) AS (SELECT 6 UNION ALL SELECT i + 1 FROM n WHERE i < 17)
				SELECT id || '/%s/' || i, id, '%s', i, 1, id || '-%s-' || i, 'published', 5000000, 100, 30, %d, %d, %d FROM tenants, n WHERE id LIKE 't1%%'`,
				day, day, day, end, end, end),
			fmt.Sprintf(`INSERT INTO hours (tenant, day, hour, state, revision, archive, planned, wanted, built)
				WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 23)
				SELECT id, '%s', i, CASE WHEN i BETWEEN 6 AND 17 THEN 'available' ELSE 'no_data' END, CASE WHEN i BETWEEN 6 AND 17 THEN 1 ELSE 0 END,
					CASE WHEN i BETWEEN 6 AND 17 THEN id || '/%s/' || i END, TRUE, 1, 1 FROM tenants, n WHERE id LIKE 't1%%'`, day, day))
	}
	end := last.End().UnixMicro()
	return append(list,
		fmt.Sprintf(`INSERT INTO audit (at_us, tenant, actor, action, detail)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
			SELECT %d + i, id, 'link', 'download.begun', '{"day":"%s","hour":"08","remote":"192.0.2.1"}' FROM tenants, n WHERE id LIKE 't1%%'`, end, last),
		fmt.Sprintf(`UPDATE hours SET state = 'failed', failures = 8, last_error = 'the store refused', failed_us = %d, due_us = %d + 3600000000 WHERE day = '%s' AND hour = 4 AND tenant LIKE 't1%%77'`,
			end, end, last),
		fmt.Sprintf(`UPDATE days SET n_failed = 1, n_no_data = 11 WHERE day = '%s' AND tenant LIKE 't1%%77'`, last),
		// In each tenant's last four days three hours have missing files, and an hour of the last
		// day waits for another revision.
		fmt.Sprintf(`UPDATE archives SET missing_count = 2 WHERE day > '%s' AND hour IN (7, 9, 11)`, last.Add(-4)),
		fmt.Sprintf(`UPDATE hours SET wanted = 2, due_us = %d WHERE day = '%s' AND hour = 8`, end+3_600_000_000_000, last),
		fmt.Sprintf(`UPDATE hours SET wanted = 2, due_us = %d WHERE day = '%s' AND hour = 9 AND tenant LIKE 't1%%5'`, end, last),
		fmt.Sprintf(`UPDATE hours SET token = 'x', worker = 'w', claimed_us = %d, lease_us = %d WHERE day = '%s' AND hour = 9 AND tenant LIKE 't1%%55'`, end, end, last))
}

// insertRecordings gives the statement that inserts a number of recordings into each of those days.
func insertRecordings(name string, each int) string {
	return fmt.Sprintf(`INSERT INTO recordings (tenant, day, object_key, hour, session_id, conversation_id, message_id, type, ts_us, registered_us)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT tenant, day, tenant || '/' || day || '/%s-' || i, 6 + i %% 12, 's' || i, 'c' || i, i, 'agent_tts', closes_us - 1, closes_us - 1 FROM days, n`, each, name)
}

// BenchmarkConsole opens each page with 5,000 tenants of 30 days, then again with ten times the
// recordings. It reports the median of milliseconds a page with those, and the ratio of all pages'
// shortest times with and without them.
func BenchmarkConsole(b *testing.B) {
	const rounds = 15
	for name, database := range map[string]func(testing.TB) string{"sqlite": apitest.SQLite, "postgres": apitest.LargePostgres} {
		b.Run(name, func(b *testing.B) {
			url := database(b)
			f := newFixture(b, url, nil)
			db := testenv.Raw(b, url)
			run(b, db, insertTenants(f.day)...)
			more := func(name string, each int) {
				run(b, db, insertRecordings(name, each))
				if strings.HasPrefix(url, "postgres") {
					run(b, db, "VACUUM ANALYZE") // as autovacuum does
				} else {
					run(b, db, "PRAGMA wal_checkpoint(TRUNCATE)")
				}
			}
			session := f.session()
			pages := pagesOf("t12577", f.day)
			ask := func() map[string][]float64 {
				took := map[string][]float64{}
				for range rounds {
					for page, path := range pages {
						began := time.Now()
						if a := f.ask("GET", path, "", "Cookie", session); a.Status != 200 {
							b.Fatalf("%s answers %d", path, a.Status)
						}
						took[page] = append(took[page], float64(time.Since(began).Microseconds())/1000)
					}
				}
				return took
			}
			more("few", 1)
			few := ask()
			more("many", 9)
			var many map[string][]float64
			for b.Loop() {
				many = ask()
			}
			var before, after, first float64
			for page := range pages {
				b.ReportMetric(median(many[page]), page+"-ms")
				before, after = before+slices.Min(few[page]), after+slices.Min(many[page])
				first = max(first, few[page][0])
			}
			b.ReportMetric(first, "slowest-first-ms")
			b.ReportMetric(after/before, "x-recordings")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
