package catalog

import (
	"regexp"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/catalog/plantest"
	"github.com/callvault/callvault/internal/db/dbtest"
)

// held adds 50,000 conversations with a recording and a message each, of 500 tenants, and a hold of
// each tenant that lists half of its conversations.
const held = `INSERT INTO conversations (tenant, id, start_us, created_us, updated_us)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
	SELECT id, id || '-' || i, 1735689600000000, 0, 0 FROM tenants, n WHERE length(id) <= 4 AND id < 't6';
INSERT INTO recordings (tenant, day, object_key, hour, session_id, conversation_id, message_id, type, ts_us, registered_us)
	SELECT tenant, '2025-01-01', id, 1, 's', id, 1, 't', 1735689600000000, 0 FROM conversations;
INSERT INTO messages (tenant, id, conversation_id, time_us, type, body)
	SELECT tenant, id, id, 1735689600000000, 't', '' FROM conversations;
INSERT INTO holds (id, tenant, name, reason, scope, created_us, created_by) SELECT 'h' || id, id, 'h', 'r', 'conversations', 0, '' FROM tenants;
INSERT INTO holds (id, tenant, name, reason, scope, from_day, to_day, from_us, to_us, created_us, created_by)
	SELECT 'd' || id, id, 'd', 'r', 'days', '2024-01-01', '2024-02-01', 1, 2, 0, '' FROM tenants;
INSERT INTO hold_conversations (hold, tenant, conversation_id) SELECT 'h' || tenant, tenant, id FROM conversations WHERE id LIKE '%1'`

// TestHoldPlans fails when a statement that asks what a hold covers reads a whole table.
func TestHoldPlans(t *testing.T) {
	queries := map[string]dbtest.Question{
		"conversation":   dbtest.Ask(`SELECT `+holds.ConversationSQL("$1", "$2"), "t104", "t104-1"),
		"hour":           dbtest.Ask(`SELECT `+holds.HourSQL("$1", "$2", "CAST($3 AS INT)"), "t104", "2025-01-01", 1),
		"day":            dbtest.Ask(`SELECT `+holds.DaySQL("$1", "$2"), "t104", "2025-01-01"),
		"doom":           dbtest.Ask(doomSQL(), "t105/1", 5, 1),
		"start deletion": dbtest.Ask(startDeletionSQL(), "t104/1", 5),
		"end a day":      dbtest.Ask(endArchivesSQL(), "t104", "2025-01-01", 5, 1),
		"spare":          dbtest.Ask(spareSQL(), "t104", true),
		"missing":        dbtest.Ask(keysOfHourSQL(2), "t104", "2025-01-01", 1, "t104-1", "t104-2"),
		"going":          dbtest.Ask(goingSQL("count(*)"), "t104"),
	}
	const tables = "(archives|conversations|messages|recordings|days|hours|hold_conversations)"
	whole := map[bool]*regexp.Regexp{
		true:  regexp.MustCompile(`Seq Scan on ` + tables),
		false: regexp.MustCompile(`^SCAN (` + tables + `|c_|m_|r_|l_|n_|d_|n|h)\b`),
	}
	for name, url := range plantest.Databases(t) {
		t.Run(name, func(t *testing.T) {
			c := withHistory(t, url, held, queries)
			for name, q := range queries {
				t.Run(name, func(t *testing.T) {
					plan := dbtest.Explain(t, c.db, q)
					for _, line := range plan {
						if whole[c.db.Postgres()].MatchString(line) {
							t.Errorf("it reads a whole table: %s\n%s", line, strings.Join(plan, "\n"))
						}
					}
				})
			}
		})
	}
}
