package catalog

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/db/dbtest"
)

// TestPrefixPlan fails when the search for a key's prefix reads all tenants.
func TestPrefixPlan(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			statements := []string{`INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us, key_prefix)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
				SELECT 't' || i, 't', TRUE, FALSE, 3, 5, 5, 0, 't' || i || '/' FROM n`}
			if c.db.Postgres() {
				statements = append(statements, "ANALYZE")
			}
			for _, s := range statements {
				if _, err := c.db.ExecContext(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			for query, args := range map[string][]any{prefixesSQL(): {"t5/x", "t5/y"}, ownPrefixSQL: {"t5"}} {
				plan := strings.Join(dbtest.Explain(t, c.db, dbtest.Question{SQL: query, Args: args}), "\n")
				if !strings.Contains(plan, "tenants_key_prefix") || strings.Contains(plan, "SCAN tenants\n") || strings.Contains(plan, "Seq Scan on tenants") {
					t.Error(plan)
				}
			}
		})
	}
}
