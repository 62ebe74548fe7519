package bulk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

func (f *fixture) sql(query string, args ...any) {
	f.Helper()
	if f.db == nil {
		f.db = testenv.Raw(f, f.url)
	}
	if _, err := f.db.ExecContext(f.Context(), query, args...); err != nil {
		f.Fatal(err)
	}
}

const base = 1_700_000_000

// generate makes n conversations of bot-1, three a second, each with a message of the same time.
func generate(from, n int, id string) string {
	var lines strings.Builder
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&lines, `{"kind":"conversation","conversationId":"%s-%05d","agentId":"bot-1","startTime":%q}`+"\n", id, i, stamp(i))
		fmt.Fprintf(&lines, `{"kind":"message","messageId":"%s-%05d","conversationId":"%s-%05d","time":%d,"type":"UserInput"}`+"\n", id, i, id, i, base+i/3)
	}
	return lines.String()
}

func stamp(i int) string { return unix(base + i/3).Format(time.RFC3339) }

func unix(seconds int) time.Time { return time.Unix(int64(seconds), 0).UTC() }

// changes are statements that change a row but not its time.
var changes = map[string]string{
	"conversations": `UPDATE conversations SET locale = 'xx', updated_us = updated_us + 1 WHERE tenant = 'acme' AND id = $1`,
	"messages":      `UPDATE messages SET type = 'changed' WHERE tenant = 'acme' AND id = $1`,
}

const testRange = "start_time=1700000000&end_time=1700000100&bot_name=Bot"

// TestPagesWhileRowsChange reads pages while rows are inserted, changed and deleted: every row that
// is there all the time is seen exactly once.
func TestPagesWhileRowsChange(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			f.load(tenant, `{"kind":"agent","agentId":"bot-1","name":"Bot"}`+"\n"+generate(0, 300, "m"))
			for _, path := range []string{conversationsPath, messagesPath} {
				gone := map[string]bool{}
				seen := f.walk(path+"?"+testRange+"&per_page=7", func(page int) {
					table := strings.TrimPrefix(path, "/conversations/export/v1/")
					i := page * 5 % 300
					f.load(tenant, generate(i, 3, fmt.Sprintf("a%d", page))) // before and behind the cursor
					f.load(tenant, generate(i+10, 3, fmt.Sprintf("z%d", page)))
					victim := fmt.Sprintf("m-%05d", 290-page)
					gone[victim] = true
					f.sql(`DELETE FROM `+table+` WHERE tenant = 'acme' AND id = $1`, victim)
					f.sql(changes[table], fmt.Sprintf("m-%05d", (page*37)%280))
				})
				count := map[string]int{}
				for _, id := range seen {
					count[id]++
				}
				for i := range 300 {
					id := fmt.Sprintf("m-%05d", i)
					if n := count[id]; n != 1 && !(gone[id] && n == 0) {
						t.Errorf("%s: %s was seen %d times", path, id, n)
					}
				}
				for id, n := range count {
					if n > 1 {
						t.Errorf("%s: %s was seen %d times", path, id, n)
					}
				}
			}
		})
	}
}

// loadSameTime loads conversations of one second, with messages of one millisecond. Those with a
// smaller id are later by microseconds.
func (f *fixture) loadSameTime() (ids []string) {
	f.Helper()
	ids = []string{"A", "Z", "a", "z", "~", "é", "漢", "🙂"}
	f.load(tenant, `{"kind":"agent","agentId":"bot-1","name":"Bot"}`)
	for i, id := range ids {
		f.load(tenant, fmt.Sprintf(`{"kind":"conversation","conversationId":%q,"agentId":"bot-1","startTime":"2023-11-14T22:13:20.%dZ"}
			{"kind":"message","messageId":%q,"conversationId":%q,"time":1700000000.500%d,"type":"x"}`, id, 9-i, id, id, 9-i))
	}
	return ids
}

func TestOrderAndRange(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			// At the same time ids are in the order of their bytes. The range is half open.
			ids := f.loadSameTime()
			for _, path := range []string{conversationsPath, messagesPath} {
				for size := 1; size <= len(ids)+1; size++ {
					if got := f.walk(fmt.Sprintf("%s?%s&per_page=%d", path, testRange, size), nil); !slices.Equal(got, ids) {
						t.Errorf("%s by %d: %q", path, size, got)
					}
				}
				for timeRange, n := range map[string]int{
					"start_time=1700000000&end_time=1700000001": len(ids), "start_time=1699999999&end_time=1700000000": 0,
					"start_time=1700000001&end_time=1700000002": 0,
				} {
					if got := f.walk(path+"?bot_name=bot-1&"+timeRange, nil); len(got) != n {
						t.Errorf("%s %s: %q", path, timeRange, got)
					}
				}
			}
		})
	}
}

// Bots that share a name, or whose name is another's id, are exported together.
func TestSharedName(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			var lines, want = strings.Builder{}, []string{}
			for i := range 60 {
				bot := fmt.Sprintf("bot-%d", i%4)
				fmt.Fprintf(&lines, `{"kind":"message","messageId":"m-%02d","conversationId":"c-%02d","time":%d,"type":"UserInput"}`+"\n", i, i, base+i/7)
				fmt.Fprintf(&lines, `{"kind":"conversation","conversationId":"c-%02d","agentId":%q,"startTime":%q}`+"\n", i, bot, unix(base+i/7).Format(time.RFC3339))
				if i%4 != 3 {
					want = append(want, fmt.Sprintf("-%02d", i))
				}
			}
			lines.WriteString(`{"kind":"agent","agentId":"bot-0","name":"Bot"}
				{"kind":"agent","agentId":"bot-1","name":"Bot"}
				{"kind":"agent","agentId":"bot-2","name":"Bot"}
				{"kind":"agent","agentId":"bot-3","name":"bot"}`)
			f.load(tenant, lines.String())
			for path, prefix := range map[string]string{conversationsPath: "c", messagesPath: "m"} {
				for _, size := range []int{1, 7, 45, 46} {
					got := f.walk(fmt.Sprintf("%s?%s&per_page=%d", path, testRange, size), nil)
					if s := strings.ReplaceAll(strings.Join(got, ""), prefix, ""); s != strings.Join(want, "") {
						t.Errorf("%s by %d: %q", path, size, got)
					}
				}
			}
			if got := f.walk(messagesPath+"?"+testRange+"&conversation_id=c-03", nil); len(got) != 0 {
				t.Errorf("another bot's conversation: %q", got)
			}
			if got := f.walk(messagesPath+"?"+testRange+"&conversation_id=c-02", nil); !slices.Equal(got, []string{"m-02"}) {
				t.Errorf("one conversation: %q", got)
			}
		})
	}
}

// Messages come before their conversation, and a conversation changes its bot.
func TestAgentComesLate(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			f.load(tenant, `{"kind":"agent","agentId":"bot-1","name":"Bot"}
				{"kind":"agent","agentId":"bot-2","name":"Other"}
				{"kind":"message","messageId":"m1","conversationId":"c1","time":1700000000,"type":"UserInput"}`)
			other := strings.Replace(testRange, "Bot", "Other", 1)
			check := func(what string, ofBot, ofOther int) {
				t.Helper()
				for query, n := range map[string]int{testRange: ofBot, other: ofOther} {
					for _, path := range []string{conversationsPath, messagesPath} {
						if got := f.walk(path+"?"+query, nil); len(got) != n {
							t.Errorf("%s: %s?%s: %q", what, path, query, got)
						}
					}
				}
			}
			check("before", 0, 0)
			conversation := `{"kind":"conversation","conversationId":"c1","agentId":%q,"startTime":"2023-11-14T22:13:20Z"}`
			f.load(tenant, fmt.Sprintf(conversation, "bot-1"))
			check("known", 1, 0)
			f.load(tenant, fmt.Sprintf(conversation, "bot-2"))
			check("moved", 0, 1)
			if p := f.page(conversationsPath + "?" + other); len(p.Data) != 1 || p.Data[0].User != 1 {
				t.Errorf("%+v", p)
			}
		})
	}
}

// A bot without an agent line is exported by its id.
func TestUnnamedBot(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			f.load(tenant, generate(0, 3, "m"))
			if got := f.walk(messagesPath+"?"+strings.Replace(testRange, "Bot", "bot-1", 1), nil); len(got) != 3 {
				t.Errorf("%q", got)
			}
			if a := f.get(messagesPath + "?" + testRange); a.Status != http.StatusNotFound {
				t.Errorf("its name is not known: %d", a.Status)
			}
		})
	}
}

// A page ends early when its rows are too large; no row is lost.
func TestHugeRows(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			var want []string
			for i := range 12 {
				id := fmt.Sprintf("c-%02d", i)
				want = append(want, id)
				f.load(tenant, fmt.Sprintf(`{"kind":"conversation","conversationId":%q,"agentId":"bot-1","startTime":%q,"metadata":{"x":%q}}`, id, stamp(i), strings.Repeat("y", 100_000)))
			}
			f.config.PageBytes = 250_000
			f.handler = f.api(f.rows(), f.limiter)
			pages := 1
			got := f.walk(conversationsPath+"?"+strings.Replace(testRange, "Bot", "bot-1", 1), func(int) { pages++ })
			if !slices.Equal(got, want) || pages != 4 {
				t.Errorf("%q in %d pages", got, pages)
			}
		})
	}
}

// TestStream compares the stream with the pages, over a real connection.
func TestStream(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			f.load(tenant, `{"kind":"agent","agentId":"bot-1","name":"Bot"}`+"\n"+generate(0, 290, "m"))
			// One row that is larger than what a stream reads at a time.
			f.load(tenant, fmt.Sprintf(`{"kind":"conversation","conversationId":"huge","agentId":"bot-1","startTime":"2023-11-14T22:13:21Z","metadata":{"x":%q}}`, strings.Repeat("y", 5<<20)))
			server := httptest.NewServer(f.handler)
			t.Cleanup(server.Close)
			for _, path := range []string{conversationsPath, messagesPath} {
				answer := f.stream(server, path+"?"+testRange)
				scanner := bufio.NewScanner(answer.Body)
				scanner.Buffer(nil, 16<<20)
				var got []string
				for scanner.Scan() {
					var row struct {
						ID string `json:"_id"`
					}
					f.must(json.Unmarshal(scanner.Bytes(), &row))
					got = append(got, row.ID)
				}
				f.must(scanner.Err())
				f.must(answer.Body.Close())
				if want := f.walk(path+"?"+testRange+"&per_page=100", nil); !slices.Equal(got, want) {
					t.Errorf("%s: %d lines, %d rows", path, len(got), len(want))
				}
			}
		})
	}
}

func (f *fixture) stream(server *httptest.Server, target string) *http.Response {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), http.MethodGet, server.URL+target, nil)
	f.must(err)
	r.Header.Set("x-api-key", sampleKey)
	r.Header.Set("Accept", "application/x-ndjson")
	answer, err := server.Client().Do(r)
	f.must(err)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/x-ndjson" {
		f.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	return answer
}

// faulty is a reader that fails after good pages.
type faulty struct {
	*conversations.Reader
	good int
}

func (f *faulty) ExportConversations(ctx context.Context, w conversations.AgentQuery, after *conversations.Position, limit conversations.Limit) (conversations.Page[conversations.ExportedConversation], error) {
	if f.good--; f.good < 0 {
		return conversations.Page[conversations.ExportedConversation]{}, domain.Errorf(domain.KindUnavailable, "the catalog failed")
	}
	return f.Reader.ExportConversations(ctx, w, after, limit)
}

// A stream that fails midway breaks the connection, so it never looks whole.
func TestStreamBreaks(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.load(tenant, `{"kind":"agent","agentId":"bot-1","name":"Bot"}`+"\n"+generate(0, 290, "m"))
	server := httptest.NewServer(f.api(&faulty{f.rows(), 1}, f.limiter))
	t.Cleanup(server.Close)
	answer := f.stream(server, conversationsPath+"?"+testRange)
	got, err := io.ReadAll(answer.Body)
	f.must(answer.Body.Close())
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("it ended with %v", err)
	}
	if n := bytes.Count(got, []byte("\n")); n > 100 {
		t.Errorf("%d lines came", n)
	}
	f.handler = f.api(&faulty{f.rows(), 0}, f.limiter)
	r := request(http.MethodGet, conversationsPath+"?"+testRange, sampleKey)
	r.Header.Set("Accept", "application/x-ndjson")
	if a := f.spec.Do(t, f.handler, r); a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("a stream that never began: %d %s", a.Status, a.Body)
	}
}
