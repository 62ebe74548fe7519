package catalog

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/plantest"
	"github.com/callvault/callvault/internal/db/dbtest"
)

// consoleHistory adds rows that only the console reads: a long audit log, recordings, and a few
// failed hours.
const consoleHistory = `
INSERT INTO audit (at_us, tenant, actor, action, detail)
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
	SELECT 1735776000000000 + i, id, 'link', 'download.begun', '{"day":"2025-01-01","hour":"08"}' FROM tenants, n;
INSERT INTO recordings (tenant, day, object_key, hour, session_id, conversation_id, message_id, type, ts_us, registered_us)
	SELECT tenant, day, tenant || hour, hour, 's', 'c', 1, 'x', 1, 1 FROM hours WHERE day = '2025-01-01';
UPDATE days SET n_failed = 1 WHERE day = '2025-01-01' AND tenant LIKE 't106%';
UPDATE hours SET state = 'failed' WHERE day = '2025-01-01' AND hour = 4 AND tenant LIKE 't106%';
UPDATE archives SET missing_count = 2 WHERE tenant LIKE 't108%'`

// TestConsolePlans fails when a page of the console reads a whole table, or any recording, because
// its cost must not grow with the recordings.
func TestConsolePlans(t *testing.T) {
	page := []any{"2024-12-20", "2025-01-18"}
	for i := range 50 {
		page = append(page, fmt.Sprint("t", 2000+7*i))
	}
	queries := map[string]dbtest.Question{
		"tenants":     dbtest.Ask(findTenantsSQL(false), "t2", 51),
		"incomplete":  dbtest.Ask(findTenantsSQL(true), "t2", 51, "2024-12-20", "2025-01-18"),
		"search":      dbtest.Ask(findTenantsSQL(true), "", searchedTenants, "2024-12-20", "2025-01-18"),
		"days":        dbtest.Ask(calendarDaysSQL(50), page...),
		"days of one": dbtest.Ask(calendarDaysSQL(1), page[:3]...),
		"lacking":     dbtest.Ask(lackingSQL(50), page...),
		"tried":       dbtest.Ask(triedSQL, 101),
		"running":     dbtest.Ask(runningSQL, 201),
		"failed":      dbtest.Ask(failedSQL, "2025-01-01", "t1060", 4, 101),
		"story":       dbtest.Ask(hourHistorySQL, "t1060", "2025-01-01", 4),
		"archives":    dbtest.Ask(hourArchivesSQL, "t1060", "2025-01-01", 4),
		"downloads":   dbtest.Ask(downloadsSQL, "t1060", 1735689600000000, ActionDownload, `{"day":"2025-01-01","hour":"%`, 29),
		"events":      dbtest.Ask(latestAuditSQL, "t1060", 1735689600000000, latestAuditRead, "%2025-01-01%", 50),
	}
	// These read only incomplete archives and hours of the days shown.
	indexes := map[string][]string{"lacking": {"archives_lacking", "hours_rebuilding"}, "incomplete": {"days_incomplete"}, "tried": {"hours_tried"}}
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			more := consoleHistory
			if strings.HasPrefix(url, "postgres:") {
				more += ";\nINSERT INTO audit_links (sum, links) SELECT CAST(id AS BYTEA), '[]' FROM tenants"
			}
			c := withHistory(t, url, more, queries)
			for name, q := range queries {
				t.Run(name, func(t *testing.T) {
					plan := dbtest.Explain(t, c.db, q)
					if line := consoleScan(c.db.Postgres(), plan); line != "" {
						t.Errorf("it reads too much: %s\n%s", line, strings.Join(plan, "\n"))
					}
					for _, index := range indexes[name] {
						if text := strings.Join(plan, "\n"); !strings.Contains(text, index) {
							t.Errorf("it reads more than %s:\n%s", index, text)
						}
					}
				})
			}
		})
	}
}

// consoleScan is wholeScan for the audit log and tenants too, and for any reading of recordings.
func consoleScan(postgres bool, plan []string) string {
	if line := plantest.WholeScan(postgres, plan); line != "" {
		return line
	}
	whole := regexp.MustCompile(`^SCAN (audit|tenants)$|(^|[^.])recordings`)
	if postgres {
		whole = regexp.MustCompile(`Seq Scan on (audit|tenants)|(^|[^.])recordings`)
	}
	for _, line := range plan {
		if whole.MatchString(line) {
			return line
		}
	}
	return ""
}
