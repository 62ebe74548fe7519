package catalog

import (
	"regexp"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/plantest"
	"github.com/callvault/callvault/internal/db/dbtest"
)

// unsettled adds the rows that are counted: days that wait, have missing files, were cut short or
// are short of their totals.
const unsettled = `
UPDATE days SET n_pending = 1 WHERE day IN ('2025-01-01', '2020-01-01') AND tenant LIKE 't106%';
UPDATE days SET n_failed = 1 WHERE day = '2025-01-01' AND tenant LIKE 't107%';
UPDATE archives SET missing_count = 2 WHERE tenant LIKE 't108%';
UPDATE days SET short_by = 1, told_short_us = 1 WHERE day = '2025-01-01' AND tenant LIKE 't1091%';
UPDATE days SET short_by = 1 WHERE day = '2019-01-10' AND tenant LIKE 't10%';
UPDATE days SET expired_us = (SELECT now_us FROM catalog_clock), unbuilt = 1 WHERE day = '2025-01-01' AND tenant LIKE 't1090%'`

// TestBacklogPlans fails when a count reads all days, hours or archives, or any recording. It may
// read the tenants and one day of each.
func TestBacklogPlans(t *testing.T) {
	queries := map[string]dbtest.Question{
		"night":     dbtest.Ask(backlogNightSQL, "2025-01-01", 1735776000000000),
		"unsettled": dbtest.Ask(backlogUnfinishedSQL, "2025-01-02"),
		"unplanned": dbtest.Ask(backlogUnplannedSQL, "2025-01-02"),
		"missing":   dbtest.Ask(backlogMissingSQL),
		"locks":     dbtest.Ask(backlogLocksSQL),
		"cut short": dbtest.Ask(backlogCutShortSQL, 1735776000000000),
		"totals":    dbtest.Ask(backlogTotalsSQL, 1735776000000000, 1735776000000000, 1735776000000000, 1735776000000000),
		"builds":    dbtest.Ask(backlogBuildsSQL),
	}
	tooMuch := regexp.MustCompile(`(Scan|Scan using \S+) on recordings|(SCAN|SEARCH) recordings|days_end`)
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := withHistory(t, url, unsettled, queries)
			for name, q := range queries {
				t.Run(name, func(t *testing.T) {
					plan := dbtest.Explain(t, c.db, q)
					text := strings.Join(plan, "\n")
					if line := plantest.WholeScan(c.db.Postgres(), plan); line != "" || tooMuch.MatchString(text) {
						t.Errorf("it reads too much: %s\n%s", line, text)
					}
				})
			}
			s, err := c.Backlog(t.Context())
			if err != nil || s.MissingFiles == 0 || s.Due == 0 || s.Building == 0 || s.Other.Failed == 0 || s.CutShort == 0 || s.Short == 0 {
				t.Errorf("%+v, error %v", s, err)
			}
		})
	}
}
