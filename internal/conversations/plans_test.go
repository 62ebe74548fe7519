package conversations

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/db/dbtest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// databases gives the URL of a new database of each kind, by name.
func databases(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"sqlite":   "sqlite://" + filepath.Join(t.TempDir(), "catalog.db"),
		"postgres": testenv.Postgres(t),
	}
}

// open opens a catalog with its schema until the test ends.
func open(t *testing.T, url string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), url, catalog.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.DB().Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// crowd fills a catalog with 30,000 conversations of 100 agents, 1,000 users and 3 outcomes, and
// with 60,000 messages. Most of them are of one tenant, and a few are of rare agents, users and
// outcomes.
const crowd = `
INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us)
	VALUES ('big', '', TRUE, TRUE, 3, 5, 5, 0), ('small', '', TRUE, TRUE, 3, 5, 5, 0);
INSERT INTO agents (tenant, id, name, body, updated_us)
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
	SELECT 'big', 'a' || i, CASE WHEN i < 5 THEN 'shared' ELSE 'n' || i END, '{}', 0 FROM n;
INSERT INTO conversations (tenant, id, agent_id, user_id, call_successful, start_us, transcript_turns, created_us, updated_us)
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999)
	SELECT CASE WHEN i % 10 = 9 THEN 'small' ELSE 'big' END, 'c' || i, CASE WHEN i % 9001 = 7 THEN 'rare' ELSE 'a' || (i % 3) END,
		CASE WHEN i % 9001 = 7 THEN 'rare' ELSE 'u' || (i % 7) END, CASE WHEN i % 9001 = 7 THEN 'failure' WHEN i % 2 = 0 THEN 'success' END,
		1700000000000000 + i * CAST(1000000 AS BIGINT), CASE WHEN i % 2 = 0 THEN 3 END, 0, 0 FROM n;
INSERT INTO transcripts (tenant, conversation_id, raw) SELECT tenant, id, '[]' FROM conversations WHERE transcript_turns IS NOT NULL;
INSERT INTO messages (tenant, id, conversation_id, time_us, type, body, agent_id)
	SELECT tenant, id || '-1', id, start_us, 'UserInput', '{}', agent_id FROM conversations
	UNION ALL SELECT tenant, id || '-2', id, start_us + 1, 'BotMessage', '{}', agent_id FROM conversations`

// plan is a query that must use an index and read few rows.
type plan struct {
	dbtest.Question
	rows int // index entries and rows that it may read in all tables
	keys string
}

func exportPlans(postgres bool) map[string]plan {
	plans := map[string]plan{
		"bots":    {dbtest.Ask(botsSQL(postgres), "big", "shared", maxBots+1), 20, "agents_name conversations_agent_printed"},
		"memory":  {dbtest.Ask(memorySQL, "big", "c3"), 10, ""},
		"single":  {dbtest.Ask(showConversationSQL(postgres), "big", "c3", transcriptPiece), 10, ""},
		"turns":   {dbtest.Ask(conversationMessagesSQL, "big", "c3", int64(math.MinInt64), "", 501), 10, "messages_conversation"},
		"headers": {dbtest.Ask(headersSQL(analysisColumns(), 100), append([]any{"big"}, db.Texts(hundred())...)...), 900, "messages_conversation"},
	}
	addWalks(plans, postgres)
	addLists(plans, postgres)
	return plans
}

// addWalks adds the pages of the bulk export.
func addWalks(plans map[string]plan, postgres bool) {
	first := Position{At: 1700000000000000}
	middle := Position{At: 1700015000000000, ID: "c15000"}
	query := AgentQuery{BulkQuery{Tenant: "big", From: db.FromMicros(first.At), To: db.FromMicros(first.At).Add(9 * time.Hour)}, []string{"a1"}}
	conversations := func(name string, w AgentQuery, at Position, rows int) {
		q, args, _ := w.query(postgres, conversationSource(), &at, 1001)
		plans["conversations "+name] = plan{dbtest.Ask(q, args...), rows, "conversations_agent_printed messages_conversation"}
	}
	messages := func(name, key string, w AgentQuery, at Position, rows int) {
		q, args, _ := w.query(postgres, messageSource(), &at, 1001)
		plans["messages "+name] = plan{dbtest.Ask(q, args...), rows, key}
	}
	conversations("first", query, first, 3100)
	conversations("middle", query, middle, 3100)
	messages("first", "messages_agent_printed", query, first, 1100)
	messages("middle", "messages_agent_printed", query, middle, 1100)
	rare, shared, one := query, query, query
	rare.Agents, shared.Agents, one.Filters = []string{"rare"}, []string{"a0", "a1", "a2", "a3", "rare"}, Filters{Conversation: "c15001"}
	conversations("of a rare agent", rare, first, 20)
	messages("of a rare agent", "messages_agent_printed", rare, first, 20)
	conversations("of a shared name", shared, first, 12_000)
	messages("of a shared name", "messages_agent_printed", shared, middle, 12_000)
	messages("of a conversation", "messages_conversation_printed", one, first, 10)
}

// addLists adds the pages of the conversations' list.
func addLists(plans map[string]plan, postgres bool) {
	last := Position{At: 1 << 62}
	middle := Position{At: 1700015000000000, ID: "c15000"}
	list := func(name string, f Filters, before Position, limit, rows int, key string) {
		query, args, _ := ListQuery{Tenant: "big", Filters: f}.walk(postgres)
		args[1], args[2], args[4] = before.At/perSecond, before.ID, limit
		plans["list "+name] = plan{dbtest.Ask(query, args...), rows, key}
	}
	for index, f := range map[string]Filters{
		"conversations_start_printed":   {},
		"conversations_agent_printed":   {Agent: "a1"},
		"conversations_user_printed":    {User: "u3"},
		"conversations_outcome_printed": {Outcome: "unknown"},
	} {
		list("by "+index+", first", f, last, 31, 40, index)
		list("by "+index+", middle", f, middle, 31, 40, index)
	}
	list("of a rare agent", Filters{Agent: "rare"}, last, 31, 10, "conversations_agent_printed")
	list("of a rare user", Filters{User: "rare"}, last, 31, 10, "conversations_user_printed")
	list("of a rare outcome", Filters{Outcome: "failure"}, last, 31, 10, "conversations_outcome_printed")
	all := Filters{Agent: "rare", User: "u3", Outcome: "failure"}
	list("by all filters", all, middle, maxExamined, maxExamined+10, "conversations_user_printed")
}

func hundred() (ids []string) {
	for i := range 100 {
		ids = append(ids, fmt.Sprint("c", 290*i))
	}
	return ids
}

// TestExportPlans fails when a query of the exports does not use its index, or reads more rows than
// its page needs.
func TestExportPlans(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			plans := exportPlans(strings.HasPrefix(url, "postgres:"))
			questions := map[string]dbtest.Question{}
			for name, p := range plans {
				questions[name] = p.Question
			}
			d := open(t, url).DB()
			dbtest.Fill(t, d, crowd, questions)
			for name, p := range plans {
				t.Run(name, func(t *testing.T) {
					if d.Postgres() {
						for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
							checkPostgresPlan(t, d, mode, p)
						}
						return
					}
					checkSQLitePlan(t, p, dbtest.Explain(t, d, p.Question))
				})
			}
		})
	}
}

// checkSQLitePlan fails for scans and sorting. Where several agents are merged, their first rows
// are sorted.
func checkSQLitePlan(t *testing.T, p plan, lines []string) {
	t.Helper()
	text := strings.Join(lines, "\n")
	for _, key := range strings.Fields(p.keys) {
		if !strings.Contains(text, key) {
			t.Errorf("%s is not used:\n%s", key, text)
		}
	}
	scan := regexp.MustCompile(`(?m)^SCAN (c|m|t|a|agents|conversations|messages|transcripts)\b`)
	if scan.MatchString(text) || strings.Contains(text, "TEMP B-TREE") && !strings.Contains(text, "MERGE (UNION") {
		t.Errorf("it reads or sorts too much:\n%s", text)
	}
	for _, line := range lines {
		if strings.Contains(line, "<expr>>?") != strings.Contains(line, "<expr><?") {
			t.Errorf("it reads rows before or behind its page:\n%s", text)
		}
	}
}

// node is a node of a plan that PostgreSQL ran.
type node struct {
	Type    string  `json:"Node Type"`
	Cost    float64 `json:"Total Cost"`
	Index   string  `json:"Index Name"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Recheck float64 `json:"Rows Removed by Index Recheck"`
	Plans   []node  `json:"Plans"`
}

// looked counts the rows that the scans below read, and collects the names of their indexes.
func (n node) looked(used *strings.Builder) float64 {
	total := 0.0
	if strings.Contains(n.Type, "Scan") && n.Type != "Subquery Scan" && n.Type != "CTE Scan" {
		total = (n.Rows + n.Removed + n.Recheck) * n.Loops
		used.WriteString(n.Type + " " + n.Index + "\n")
	}
	for _, p := range n.Plans {
		total += p.looked(used)
	}
	return total
}

// checkPostgresPlan runs a query as a prepared statement with a custom or a generic plan, and
// counts the rows that it read.
func checkPostgresPlan(t *testing.T, d *db.DB, mode string, p plan) {
	t.Helper()
	ctx := context.Background()
	values := make([]string, 0, len(p.Args))
	for _, a := range p.Args {
		values = append(values, "'"+strings.ReplaceAll(fmt.Sprint(a), "'", "''")+"'")
	}
	var text []byte
	err := d.View(ctx, func(tx *db.Tx) error {
		for _, statement := range []string{"SET LOCAL plan_cache_mode = " + mode, "PREPARE held AS " + p.SQL} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		err := tx.QueryRowContext(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE held("+strings.Join(values, ", ")+")").Scan(&text)
		if err == nil {
			_, err = tx.ExecContext(ctx, "DEALLOCATE held")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	var used strings.Builder
	looked := plans[0].Plan.looked(&used)
	if looked > float64(p.rows) || strings.Contains(used.String(), "Seq Scan") {
		t.Errorf("%s: it looked at %v rows, %d are enough:\n%s", mode, looked, p.rows, text)
	}
	if cost := plans[0].Plan.Cost; cost >= dbtest.CompiledFrom {
		t.Errorf("%s: the estimate is %v:\n%s", mode, cost, text)
	}
	for _, key := range strings.Fields(p.keys) {
		if !strings.Contains(used.String(), key) {
			t.Errorf("%s: %s is not used:\n%s", mode, key, used.String())
		}
	}
}
