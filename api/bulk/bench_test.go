package bulk_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/bulk"
	"github.com/callvault/callvault/api/conversations"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/testenv"
)

// insertHistory gives the statements that insert n conversations, a second apart, of six messages
// each. Half are of one bot. Every 10,000th is of a rare bot and a rare user, and failed.
func insertHistory(n int) []string {
	const batch = 250_000
	statements := []string{`INSERT INTO agents (tenant, id, name, body, updated_us) VALUES ('acme', 'bot-0', 'Bot', '{}', 0), ('acme', 'rare', 'Rare', '{}', 0)`}
	for from := 0; from < n; from += batch {
		statements = append(statements, insertConversations(from, min(from+batch, n)), insertMessages(from, min(from+batch, n)))
	}
	return statements
}

// insertConversations inserts the conversations [from, to).
func insertConversations(from, to int) string {
	return fmt.Sprintf(`INSERT INTO conversations (tenant, id, agent_id, user_id, call_successful, start_us, end_us, last_action_us, locale, tags, metadata,
			transcript_turns, created_us, updated_us)
		WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT 'acme', 'c-' || (i * CAST(7919 AS BIGINT) %% 1000003) || '-' || i,
			CASE WHEN i %% 10000 = 77 THEN 'rare' WHEN i %% 2 = 0 THEN 'bot-0' ELSE 'bot-' || (i %% 40) END,
			CASE WHEN i %% 10000 = 77 THEN 'rare' ELSE 'user-' || (i %% 1000) END,
			CASE WHEN i %% 10000 = 77 THEN 'failure' WHEN i %% 3 = 0 THEN 'success' END,
			1600000000000000 + i * CAST(1000000 AS BIGINT), 1600000100000000 + i * CAST(1000000 AS BIGINT),
			1600000100384884 + i * CAST(1000000 AS BIGINT), 'en_us', '["guideInteraction"]',
			'{"locale":"en_us","browser_visitorType":"repeat","browser_screenResolution":"1728x1117","draft":true,"guideNodeCount":5,"question":"my camera number '
				|| i || ' is offline since yesterday and I have tried to restart it twice"}',
			6, 0, 0 FROM n`, from, to-1)
}

// insertMessages inserts the messages of those conversations.
func insertMessages(from, to int) string {
	return fmt.Sprintf(`INSERT INTO messages (tenant, id, conversation_id, time_us, type, body, agent_id)
		SELECT c.tenant, c.id || '-' || k.i, c.id, c.start_us + k.i * 1500000, CASE WHEN k.i %% 2 = 0 THEN 'Question' ELSE 'UserInput' END,
			CASE WHEN k.i %% 2 = 0 THEN '{"outMsg":{"steps":[{"text":"Here are the details for the camera that you asked about: it is in stock."}]}}'
				ELSE '{"userInput":"Tell me more about the camera"}' END, c.agent_id
		FROM conversations c CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5) k
		WHERE c.tenant = 'acme' AND c.start_us >= %d AND c.start_us < %d`, 1600000000_000000+from*1_000_000, 1600000000_000000+to*1_000_000)
}

// benchSize gives how many conversations there are, and the factor BENCH_SCALE by which PostgreSQL
// alone has more.
func benchSize(b *testing.B) (n, scale int) {
	b.Helper()
	return benchNumber(b, "BENCH_CONVERSATIONS", 20_000, 1_000_000), benchNumber(b, "BENCH_SCALE", 1, 1)
}

func benchNumber(b *testing.B, name string, least, usual int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		b.Fatalf("%s is %q; use a number from %d on", name, text, least)
	}
	return n
}

const benchRange = "?start_time=1600000000&end_time=1700000000&bot_name=Bot"

// BenchmarkExports compares late pages with the first, filters with none, and the API with its SQL
// alone, and reports how much memory a stream takes.
func BenchmarkExports(b *testing.B) {
	n, scale := benchSize(b)
	for name, database := range map[string]func(testing.TB) string{"sqlite": apitest.SQLite, "postgres": apitest.LargePostgres} {
		if scale > 1 && name != "postgres" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, database(b))
			f.db = testenv.Raw(f, f.url)
			statements := insertHistory(n * scale)
			if !strings.HasPrefix(f.url, "sqlite") {
				statements = append(statements, "VACUUM ANALYZE")
			}
			for _, s := range statements {
				f.sql(s)
			}
			f.handler = f.both()
			for _, path := range []string{conversationsPath, messagesPath} {
				b.Run("pages of "+path[strings.LastIndex(path, "/")+1:], func(b *testing.B) { f.benchPages(b, path) })
				b.Run("stream of "+path[strings.LastIndex(path, "/")+1:], func(b *testing.B) { f.benchStream(b, path) })
			}
			b.Run("filters", func(b *testing.B) { f.benchFilters(b) })
		})
	}
}

func (f *fixture) both() http.Handler {
	f.Helper()
	ring, err := auth.OpenKeyring(f.Context(), f.catalog, "", time.Now)
	f.must(err)
	return api.New(api.Config{}, api.Deps{Log: zap.NewNop(), Now: time.Now, Families: []api.Family{
		bulk.New(bulk.Config{}, bulk.Deps{Catalog: f.catalog, Conversations: f.rows(), Limiter: f.limiter, Cursors: ring, Log: zap.NewNop()}),
		conversations.New(conversations.Config{}, conversations.Deps{Catalog: f.catalog, Conversations: f.rows(), Cursors: ring, Log: zap.NewNop()}),
	}})
}

// once sends a request and gives the time that the answer took, and its body.
func (f *fixture) once(target string) (time.Duration, []byte) {
	f.Helper()
	r := request(http.MethodGet, target, sampleKey)
	start := time.Now()
	a := apitest.Do(f.handler, r)
	took := time.Since(start)
	if a.Status != http.StatusOK {
		f.Fatalf("%s: %d %s", target, a.Status, a.Body)
	}
	return took, a.Body
}

// best runs functions in turns, so that a slow moment of the machine affects all of them, and gives
// the shortest time of each in seconds: what it takes while nothing else runs.
func best(rounds int, runs ...func() time.Duration) []float64 {
	times := make([][]float64, len(runs))
	for range rounds {
		for i, run := range runs {
			times[i] = append(times[i], run().Seconds())
		}
	}
	out := make([]float64, len(runs))
	for i := range times {
		out[i] = slices.Min(times[i])
	}
	return out
}

var cursorAtEnd = regexp.MustCompile(`"cursor":"([^"]+)"}\s*$`)

// pages reads a whole range and gives the targets of its pages.
func (f *fixture) pages(target string) []string {
	f.Helper()
	targets := []string{target}
	for {
		_, body := f.once(targets[len(targets)-1])
		found := cursorAtEnd.FindSubmatch(body[max(0, len(body)-5000):])
		if found == nil {
			return targets
		}
		targets = append(targets, target+"&cursor="+url.QueryEscape(string(found[1])))
	}
}

func (f *fixture) benchPages(b *testing.B, path string) {
	targets := f.pages(path + benchRange)
	last := len(targets) - 2 // the last whole page
	ask := func(i int) func() time.Duration {
		return func() time.Duration {
			took, _ := f.once(targets[i])
			return took
		}
	}
	for b.Loop() {
		depths := best(31, ask(0), ask(last/2), ask(last))
		same := best(31, ask(0), f.sqlAlone(path)) // not with the others: the rows would be in other caches
		b.ReportMetric(depths[0]*1000, "ms/page")
		b.ReportMetric(depths[1]/depths[0], "middle/start")
		b.ReportMetric(depths[2]/depths[0], "end/start")
		b.ReportMetric(same[0]/same[1], "api/sql")
		b.ReportMetric(float64(len(targets)), "pages")
	}
}

// sqlAlone reads the first page's columns without the API: the least that a page can cost.
func (f *fixture) sqlAlone(path string) func() time.Duration {
	query := `SELECT id, start_us, locale, metadata, tags, last_action_us, (SELECT count(*) FROM messages m
		WHERE m.tenant = conversations.tenant AND m.conversation_id = conversations.id AND m.type = 'UserInput') FROM conversations`
	at, unit := "start_us", 1_000_000
	if path == messagesPath {
		query, at, unit = `SELECT id, time_us, type, conversation_id, body, NULL, 0 FROM messages`, "time_us", 1000
	}
	query += fmt.Sprintf(` WHERE tenant = 'acme' AND agent_id = 'bot-0' AND (%[1]s / %[2]d, id) > (1600000000000000 / %[2]d, '')
		AND %[1]s / %[2]d < 1700000000000000 / %[2]d ORDER BY %[1]s / %[2]d, id LIMIT 1001`, at, unit)
	if strings.HasPrefix(f.url, "sqlite") {
		table := strings.TrimPrefix(path, "/conversations/export/v1/")
		query = strings.Replace(query, "FROM "+table+" WHERE", "FROM "+table+" INDEXED BY "+table+"_agent_printed WHERE", 1)
	}
	return func() time.Duration {
		start := time.Now()
		rows, err := f.db.QueryContext(f.Context(), query)
		f.must(err)
		defer func() { f.must(rows.Close()) }()
		var values [7]sql.RawBytes
		for rows.Next() {
			f.must(rows.Scan(&values[0], &values[1], &values[2], &values[3], &values[4], &values[5], &values[6]))
		}
		f.must(rows.Err())
		return time.Since(start)
	}
}

func (f *fixture) benchFilters(b *testing.B) {
	filters := []string{"", "agent_id=bot-0", "agent_id=rare", "user_id=user-5", "user_id=rare", "call_successful=success", "call_successful=failure",
		"call_start_before_unix=1600010000", "call_start_after_unix=1600010000", "agent_id=nobody", "user_id=rare&agent_id=bot-0&call_successful=failure",
		"agent_id=bot-0&call_successful=failure"}
	runs := make([]func() time.Duration, 0, len(filters))
	for _, filter := range filters {
		runs = append(runs, func() time.Duration {
			took, _ := f.once("/conversations?page_size=100&" + filter)
			return took
		})
	}
	for b.Loop() {
		m := best(31, runs...)
		worst := 0.0
		for i, filter := range filters {
			b.Logf("%-60s %7.2f ms  %5.2f of unfiltered", filter, m[i]*1000, m[i]/m[0])
			if !strings.Contains(filter, "&") {
				worst = max(worst, m[i]/m[0])
			}
		}
		b.ReportMetric(m[0]*1000, "ms/unfiltered")
		b.ReportMetric(worst, "worst/unfiltered")
		b.ReportMetric(m[len(m)-1]*1000, "ms/combination")
	}
}

// benchStream reads a whole range as lines, over a real connection.
func (f *fixture) benchStream(b *testing.B, path string) {
	server := httptest.NewServer(f.handler)
	defer server.Close()
	for b.Loop() {
		f.once(path + benchRange + "&per_page=1") // opens the connections to the catalog
		debug.FreeOSMemory()
		idle := resident(b)
		peak, lines := idle, 0
		start := time.Now()
		answer := f.stream(server, path+benchRange)
		scanner := bufio.NewScanner(answer.Body)
		for scanner.Scan() {
			if lines++; lines%500 == 0 {
				peak = max(peak, resident(b))
			}
		}
		f.must(scanner.Err())
		f.must(answer.Body.Close())
		b.ReportMetric(float64(lines)/time.Since(start).Seconds(), "rows/s")
		b.ReportMetric((peak-idle)/1024, "MiB-beyond-idle")
	}
}

// resident is the memory of this process, in KiB.
func resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			n, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("/proc/self/status has no VmRSS")
	return 0
}
