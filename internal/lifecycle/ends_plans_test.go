package lifecycle

import (
	"regexp"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/plantest"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/db/dbtest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// sources are 30,000 conversations of one tenant, a tenth of which have ended, with two messages
// and a recording each.
const sources = `
INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us, source_retention_days)
	VALUES ('big', '', TRUE, TRUE, 3, 5, 5, 0, 100);
INSERT INTO days (tenant, day, closes_us, planned_us, expired_us) VALUES ('big', '2020-01-01', 1, 1, 1);
INSERT INTO conversations (tenant, id, agent_id, start_us, recording_key, created_us, updated_us)
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999)
	SELECT 'big', 'c' || i, 'a', CASE WHEN i % 100 = 7 THEN NULL WHEN i % 10 = 0 THEN i ELSE now_us - i END, CASE WHEN i % 7 = 0 THEN 'w/' || i END, 1, 1 FROM n, catalog_clock;
INSERT INTO messages (tenant, id, conversation_id, time_us, type, body)
	SELECT tenant, id || '-1', id, 1, 'UserInput', '{}' FROM conversations UNION ALL SELECT tenant, id || '-2', id, 2, 'BotMessage', '{}' FROM conversations;
INSERT INTO recordings (tenant, day, object_key, hour, session_id, conversation_id, message_id, type, ts_us, registered_us)
	SELECT tenant, '2020-01-01', 'k/' || id, 1, 's', id, 1, 't', 1, 1 FROM conversations;
INSERT INTO objects (key, tenant, day) SELECT object_key, tenant, day FROM recordings;
INSERT INTO objects (key, tenant) SELECT recording_key, tenant FROM conversations WHERE recording_key IS NOT NULL;
INSERT INTO deletions (key, tenant, cause, queued_us, due_us) SELECT 'd/' || id, tenant, 'retention', 1, now_us + 1000000000 FROM conversations, catalog_clock;
INSERT INTO endings (tenant, conversation_id, ended_us) SELECT tenant, 'e' || id, 1 FROM conversations`

// TestEndPlans fails when a pass reads more than its page.
func TestEndPlans(t *testing.T) {
	two := []any{"big", "c10", "c20"}
	for name, url := range plantest.Databases(t) {
		t.Run(name, func(t *testing.T) {
			postgres := strings.HasPrefix(url, "postgres:")
			questions := map[string]dbtest.Question{
				"tenants":    dbtest.Ask(endingTenantsSQL, "", 100),
				"aged":       dbtest.Ask(agedSQL(postgres), "big", 0, "", 200),
				"aged later": dbtest.Ask(agedSQL(postgres), "big", 0, "c15000", 200),
				"unstarted":  dbtest.Ask(unstartedSQL(postgres), "big", 0, "c1", 200),
				"endings":    dbtest.Ask(endingsSQL(), "a", "e1", 50),
				"recordings": dbtest.Ask(recordingsOfSQL(2), append(two, 2000)...),
				"rest":       dbtest.Ask(restSQL(2), two...),
				"uploads":    dbtest.Ask(unnamedUploadsSQL(postgres), "big", "", 200),
				"unnamed":    dbtest.Ask(unnamedSQL(2), "big", "k/c10", "k/c20"),
			}
			d := plantest.Open(t, url)
			dbtest.Fill(t, d, sources, questions)
			for name, q := range questions {
				t.Run(name, func(t *testing.T) { checkPlan(t, d, dbtest.Explain(t, d, q)) })
			}
		})
	}
}

// checkPlan fails for a scan of a table that grows with the sources, and for sorting.
func checkPlan(t *testing.T, d *db.DB, lines []string) {
	t.Helper()
	whole := regexp.MustCompile(`(?m)^SCAN (c|m|r|o|d|conversations|messages|recordings|objects)\b|TEMP B-TREE FOR (ORDER|LAST)`)
	if d.Postgres() {
		whole = regexp.MustCompile(`Seq Scan on (conversations|messages|recordings|objects|endings)\b`)
	}
	if text := strings.Join(lines, "\n"); whole.MatchString(text) {
		t.Errorf("it reads or sorts too much:\n%s", text)
	}
}
