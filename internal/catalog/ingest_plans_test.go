package catalog

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/db/dbtest"
	"github.com/callvault/callvault/internal/domain"
)

// TestMergePlans fails when a merge or a query of former values reads other rows than its own.
func TestMergePlans(t *testing.T) {
	const rows = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) `
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "t", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			statements := []string{
				`INSERT INTO conversations (tenant, id, created_us, updated_us) ` + rows + `SELECT 't', 'c' || i, 0, 0 FROM n`,
				`INSERT INTO transcripts (tenant, conversation_id, raw) ` + rows + `SELECT 't', 'c' || i, 'x' FROM n`,
				`INSERT INTO messages (tenant, id, conversation_id, time_us, type, body) ` + rows + `SELECT 't', 'm' || i, 'c' || i, 0, 't', '{}' FROM n`,
				`INSERT INTO recordings (tenant, day, object_key, hour, session_id, conversation_id, message_id, type, ts_us, registered_us) ` + rows + `SELECT 't', '2025-12-12', 'k' || i, 1, 's', 'c', i, 't', 0, 0 FROM n`,
				`INSERT INTO history (tenant, kind, id, field, at_us, origin, head, value, tail) ` + rows + `SELECT 't', 'conversation', 'c' || i, 'f', 0, '', 0, '', 0 FROM n`,
			}
			if c.db.Postgres() {
				statements = append(statements, `ANALYZE`)
			}
			for _, s := range statements {
				if _, err := c.db.ExecContext(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			err := c.db.Update(t.Context(), func(tx *db.Tx) error {
				if c.db.Postgres() { // it would read whole tables that are so small
					if _, err := tx.ExecContext(t.Context(), `SET LOCAL enable_seqscan = off`); err != nil {
						return err
					}
				}
				s := stager{tx: tx, filled: map[string]bool{}}
				for _, st := range []stage{conversationStage(), messageBodies().stage, sumStage()} {
					if err := s.fill(t.Context(), st, nil); err != nil {
						return err
					}
				}
				for name, q := range map[string]string{
					"what stands":      strings.ReplaceAll(existingSQL(), "$1", "'t'"),
					"update":           strings.NewReplacer("$1", "'t'", "$2", "0").Replace(updateConversationsSQL()),
					"messages":         strings.ReplaceAll(differingSQL(messageBodies().stage, false), "$1", "'t'"),
					"update, messages": strings.NewReplacer("$1", "'t'", "$2", "1").Replace(messageBodies().update),
					"sums":             strings.ReplaceAll(learnSumsSQL, "$1", "'build'"),
					"former values":    `SELECT seq FROM history WHERE tenant = 't' AND kind = 'conversation' AND id = 'c7' AND seq < 9 ORDER BY seq DESC LIMIT 5`,
				} {
					plan, err := dbtest.Plan(t.Context(), tx, c.db.Postgres(), dbtest.Question{SQL: q})
					if err != nil {
						return err
					}
					for _, line := range plan {
						if strings.HasPrefix(line, "SCAN c") || strings.HasPrefix(line, "SCAN b") || strings.HasPrefix(line, "SCAN t") || strings.HasPrefix(line, "SCAN history") ||
							strings.Contains(line, "Seq Scan on conversations") || strings.Contains(line, "Seq Scan on messages") ||
							strings.Contains(line, "Seq Scan on transcripts") || strings.Contains(line, "Seq Scan on history") {
							t.Errorf("%s reads a whole table:\n%s", name, strings.Join(plan, "\n"))
						}
					}
					if all := strings.Join(plan, "\n"); name == "sums" && !c.db.Postgres() && !strings.Contains(all, "object_key=?") {
						t.Errorf("sums do not find their recordings by key:\n%s", all)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
