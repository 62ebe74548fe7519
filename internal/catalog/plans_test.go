package catalog

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/plantest"
	"github.com/callvault/callvault/internal/db/dbtest"
)

// TestPlans fails when a query that runs every second, every minute or for each request reads a
// whole table.
func TestPlans(t *testing.T) {
	queries := map[string]dbtest.Question{
		"due hours":         dbtest.Ask(dueHoursSQL, "e", 10, 100),
		"next due":          dbtest.Ask(nextDueSQL),
		"any due":           dbtest.Ask(anyDueSQL),
		"outstanding":       dbtest.Ask(outstandingSQL, "e", 60_000_000, 100),
		"lapsed":            dbtest.Ask(lapsedSQL, 100, 600_000_000),
		"hours to repair":   dbtest.Ask(hoursToRepairSQL, 100, maxDueAhead, 300_000_000),
		"past days":         dbtest.Ask(pastDaysSQL, 100),
		"unsealed days":     dbtest.Ask(unsealedSQL, 100),
		"former seal":       dbtest.Ask(formerSealSQL, "t7", "2025-01-01"),
		"proven seal":       dbtest.Ask(provenSealSQL, "t7", "2025-01-01"),
		"unplanned days":    dbtest.Ask(unplannedSQL, "2025-01-02", 100),
		"empty days":        dbtest.Ask(emptyDaysSQL, "2025-01-01", 1735776000000000, 100),
		"needs backfill":    dbtest.Ask(needsBackfillSQL),
		"backfill tenants":  dbtest.Ask(backfillTenantsSQL, 100),
		"days of a tenant":  dbtest.Ask(tenantDaysSQL, "t1", "2025-01-01"),
		"unused archives":   dbtest.Ask(unusedArchivesSQL, 100, 3_600_000_000),
		"doomed archives":   dbtest.Ask(doomedSQL(), 100),
		"rechecks":          dbtest.Ask(rechecksSQL, 100),
		"unchecked":         dbtest.Ask(uncheckedSQL, 86_400_000_000, 100),
		"await locks":       dbtest.Ask(awaitLocksSQL),
		"held locks":        dbtest.Ask(heldLocksSQL, 604_800_000_000, 100),
		"day":               dbtest.Ask(dayAccessSQL, "t7", "2025-01-01", "day", "a"),
		"day as read":       dbtest.Ask(dayHoursSQL, "t7", "2025-01-01"),
		"day as issued":     dbtest.Ask(issuedHoursSQL, "t7", "2025-01-01"),
		"short days":        dbtest.Ask(shortDaysSQL, 21_600_000_000, 100),
		"patrol":            dbtest.Ask(patrolRecordingsSQL, "t7", "2025-01-01", "t7/3", 100),
		"patrol, archives":  dbtest.Ask(patrolArchivesSQL, "t7/3", 100),
		"suspect archives":  dbtest.Ask(suspectArchivesSQL, 21_600_000_000, 100),
		"faulty":            dbtest.Ask(faultyRecordingsSQL, 21_600_000_000, 100),
		"faults":            dbtest.Ask(faultsSQL, "recording", "t7", "", 100),
		"faults of an hour": dbtest.Ask(hourFaultsSQL, "t7", "2025-01-01", 3, 100),
		"kept archives":     dbtest.Ask(keepArchivesSQL, "t7", "2025-01-01", 1),
		"link":              dbtest.Ask(linkAccessSQL, "t7", "2025-01-01", "w", "t7-1", 1, "app_1", 0),
	}
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := withHistory(t, url, "", queries)
			for name, q := range queries {
				t.Run(name, func(t *testing.T) {
					plan := dbtest.Explain(t, c.db, q)
					if line := plantest.WholeScan(c.db.Postgres(), plan); line != "" {
						t.Errorf("it reads a whole table: %s\n%s", line, strings.Join(plan, "\n"))
					}
				})
			}
		})
	}
}

// withHistory gives the catalog of a database with history; see plantest.History.
func withHistory(t *testing.T, url, more string, questions map[string]dbtest.Question) *Catalog {
	t.Helper()
	return New(plantest.History(t, url, more, questions), Rules{})
}
