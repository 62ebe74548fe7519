package ingest_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// onBoth runs a test on an empty catalog of each database, with a connection that reads its rows.
func onBoth(t *testing.T, test func(t *testing.T, c *catalog.Catalog, rows *sql.DB)) {
	t.Helper()
	for name, where := range map[string]func(t *testing.T) (url, driver, dsn string){
		"sqlite": func(t *testing.T) (string, string, string) {
			t.Helper()
			path := filepath.Join(t.TempDir(), "catalog.db")
			return "sqlite://" + path, "sqlite", "file:" + path
		},
		"postgres": func(t *testing.T) (string, string, string) {
			t.Helper()
			url := testenv.Postgres(t)
			return url, "pgx", url
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, driver, dsn := where(t)
			c, err := catalog.Open(t.Context(), url, catalog.Rules{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }() // the test is over
			if _, err := c.DB().Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "t", Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			rows, err := sql.Open(driver, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			test(t, c, rows)
		})
	}
}

func take(t *testing.T, c *catalog.Catalog, r io.Reader) ingest.Result {
	t.Helper()
	result, err := ingest.Load(t.Context(), c, "t", r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// scan reads one row of text columns; NULL is "∅".
func scan(t *testing.T, rows *sql.DB, columns, rest string) string {
	t.Helper()
	names := strings.Split(columns, ",")
	values := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.QueryRowContext(t.Context(), "SELECT "+columns+" FROM "+rest).Scan(into...); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range values {
		if v.Valid {
			out = append(out, v.String)
		} else {
			out = append(out, "∅")
		}
	}
	return strings.Join(out, "|")
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("\n got %s\nwant %s", got, want)
	}
}

const conversation = `{"kind":"conversation","conversationId":"c1","externalConversationId":"conv","agentId":"a1","startTime":"2024-01-15T10:30:00.5Z",` +
	`"endTime":"2024-01-15T10:35:00Z","status":"done","tags":["b","a"],"metadata":{"z":1.0,"a":"\u0000"},"baseCost":0.250,"user":{"n":1,"id":"u"},` +
	`"transcript":{"raw":"[{\"role\":\"user\",\"text\":\"\\u0000 👋\"}]"},"recording":{"objectKey":"whole.webm"}}`

func TestRowsAreWhatLinesSay(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		take(t, c, strings.NewReader(conversation+`
{"kind":"agent","agentId":"a1","name":"Bot","temperature":0.70,"greeting":"\u0000\ud83d"}
{"kind":"message","messageId":"m1","conversationId":"c1","time":1744651778.6520009,"type":"UserInput","userInput":"a\u0000b 👋"}
{"kind":"recording","conversationId":"c1","sessionId":"s","messageId":-9223372036854775808,"type":"agent_tts","timestamp":"2025-12-12T23:59:59.9999999Z","objectKey":"k.opus","sizeBytes":0,"crc32":"ffffffff","contentType":"audio/ogg"}`))
		expect(t, scan(t, rows, "external_id,agent_id,start_us,end_us,status,tags,metadata,base_cost,total_cost,user_body,user_id,transcript_turns,recording_key", "conversations"),
			`conv|a1|1705314600500000|1705314900000000|done|["b","a"]|{"z":1.0,"a":"\u0000"}|0.250|∅|{"n":1,"id":"u"}|u|1|whole.webm`)
		expect(t, scan(t, rows, "raw", "transcripts"), `[{"role":"user","text":"\u0000 👋"}]`)
		expect(t, scan(t, rows, "name,description,body", "agents"), `Bot|∅|{"agentId":"a1","name":"Bot","temperature":0.70,"greeting":"\u0000\ud83d"}`)
		expect(t, scan(t, rows, "conversation_id,time_us,type,body", "messages"),
			`c1|1744651778652000|UserInput|{"messageId":"m1","conversationId":"c1","time":1744651778.6520009,"type":"UserInput","userInput":"a\u0000b 👋"}`)
		expect(t, scan(t, rows, "day,hour,object_key,message_id,ts_us,size,crc32,content_type", "recordings"),
			`2025-12-12|23|k.opus|-9223372036854775808|1765583999999999|0|4294967295|audio/ogg`)
		expect(t, scan(t, rows, "day,tenant,size", "objects WHERE key = 'k.opus'"), `2025-12-12|t|∅`)
		created := scan(t, rows, "created_us", "conversations")
		take(t, c, strings.NewReader(`{"kind":"conversation","conversationId":"c1","agentId":"a2","externalConversationId":null,"endTime":null,"status":null,`+
			`"tags":null,"metadata":null,"baseCost":null,"user":null,"transcript":null,"recording":null}`))
		expect(t, scan(t, rows, "external_id,agent_id,start_us,end_us,status,tags,metadata,base_cost,user_body,user_id,transcript_turns,recording_key", "conversations"),
			`∅|a2|1705314600500000|∅|∅|∅|∅|∅|∅|∅|∅|∅`)
		expect(t, scan(t, rows, "count(*)", "transcripts"), "0")
		expect(t, scan(t, rows, "created_us", "conversations"), created)
	})
}

func TestStubKeepsTheConversation(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		recording := `{"kind":"recording","conversationId":"c1","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T23:59:59Z","objectKey":"%s"}`
		take(t, c, strings.NewReader(fmt.Sprintf(recording, "1")))
		expect(t, scan(t, rows, "id,external_id,agent_id,start_us", "conversations"), `c1|∅|∅|∅`)
		take(t, c, strings.NewReader(conversation))
		before := scan(t, rows, "external_id,agent_id,start_us,metadata,created_us,updated_us", "conversations")
		take(t, c, strings.NewReader(fmt.Sprintf(recording, "2")))
		expect(t, scan(t, rows, "external_id,agent_id,start_us,metadata,created_us,updated_us", "conversations"), before)
	})
}

// TestWhatNoColumnHolds: what PostgreSQL can't store, and SQLite could, is refused on both.
func TestWhatNoColumnHolds(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, _ *sql.DB) {
		for _, bad := range []string{
			strings.Replace(conversation, `"conv"`, `"a\u0000"`, 1),
			strings.Replace(conversation, `[{\"role`, `\u0000[{\"role`, 1),
			strings.Replace(conversation, `"conv"`, "\"a\xc3\x28\"", 1),
			strings.Replace(conversation, `"conv"`, `"\udc00"`, 1),
		} {
			_, err := ingest.Load(t.Context(), c, "t", strings.NewReader(bad), nil)
			var line *catalog.LineError
			if !errors.As(err, &line) || line.Line != 1 || !errors.Is(err, domain.ErrInvalid) {
				t.Fatalf("%.120q: %v", bad, err)
			}
		}
	})
}

func TestLongestOfAll(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		id := strings.Repeat("é", 256)
		key := strings.Repeat(strings.Repeat("k", 254)+"/", 4) + "1234"
		line := fmt.Sprintf(`{"kind":"recording","conversationId":%q,"sessionId":%q,"messageId":1,"type":%q,"timestamp":"9999-12-31T23:59:59.999999Z","objectKey":%q}
{"kind":"message","messageId":%q,"conversationId":%q,"time":253402300799.999999,"type":%q}
{"kind":"agent","agentId":%q,"name":%q}
`, id, id, id, key, id, id, id, id, id)
		if got := take(t, c, strings.NewReader(line)); got.Changed != 4 {
			t.Fatalf("%+v", got)
		}
		// A transcript of 50 MB comes in as one line.
		turn := `{\"role\":\"agent\",\"text\":\"` + strings.Repeat("word ", 200) + `\"}`
		n := (50 << 20) / len(turn)
		raw := `"[` + strings.Repeat(turn+",", n-1) + turn + `]"`
		long := strings.NewReader(`{"kind":"conversation","conversationId":"long","agentId":"a","startTime":"2024-01-15T10:30:00Z","transcript":{"raw":` + raw + "}}\n")
		if got := take(t, c, long); got.Changed != 1 {
			t.Fatalf("%+v", got)
		}
		expect(t, scan(t, rows, "transcript_turns", "conversations WHERE id = 'long'"), fmt.Sprint(n))
		expect(t, scan(t, rows, "length(raw)", "transcripts"), fmt.Sprint(len(strings.ReplaceAll(raw, `\`, ""))-2))
	})
}

// BenchmarkLoad measures lines a second, from text to commit.
func BenchmarkLoad(b *testing.B) {
	open := map[string]func() string{
		"sqlite":   func() string { return "sqlite://" + filepath.Join(b.TempDir(), "catalog.db") },
		"postgres": func() string { return testenv.NewPostgres(b).URL() },
	}
	for _, kind := range []string{"recording", "message", "conversation"} {
		for name, url := range open {
			b.Run(kind+"/"+name, func(b *testing.B) {
				c, err := catalog.Open(b.Context(), url(), catalog.Rules{})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = c.Close() }() // the test is over
				if _, err := c.DB().Migrate(b.Context()); err != nil {
					b.Fatal(err)
				}
				if _, err := c.CreateTenant(b.Context(), domain.Tenant{ID: "t", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
					b.Fatal(err)
				}
				const lines = 50_000
				start := time.Now()
				done := 0
				for b.Loop() {
					if _, err := ingest.Load(b.Context(), c, "t", &generator{kind: kind, from: done, left: lines}, nil); err != nil {
						b.Fatal(err)
					}
					done += lines
				}
				b.ReportMetric(float64(done)/time.Since(start).Seconds(), "lines/s")
			})
		}
	}
}

// generator is a stream of numbered lines of one kind.
type generator struct {
	kind       string
	from, left int
	rest       []byte
}

func (g *generator) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		if g.left == 0 {
			return 0, io.EOF
		}
		g.rest = append(g.line(g.from), '\n')
		g.from++
		g.left--
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

func (g *generator) line(i int) []byte {
	at := time.Date(2025, 12, 12, 0, 0, i%86_400, 0, time.UTC).Format(time.RFC3339)
	switch g.kind {
	case "recording":
		return fmt.Appendf(nil, `{"kind":"recording","conversationId":"agent_1_%d_u1","sessionId":"session-%d","messageId":%d,"type":"agent_tts","timestamp":%q,"objectKey":"knovvu-va/tenant/project/conversations/%d/message_%d_agent_tts.opus","sizeBytes":45000,"contentType":"audio/ogg"}`, i/20, i/20, i, at, i/20, i)
	case "message":
		return fmt.Appendf(nil, `{"kind":"message","messageId":"33f34335-bd8a-41a7-8ce1-%d","conversationId":"agent_1_%d_u1","time":%d.652,"type":"UserInput","userInput":"Tell me about Comfort Headphones"}`, i, i/20, 1744651778+i)
	}
	return fmt.Appendf(nil, `{"kind":"conversation","conversationId":"agent_1_%d_u1","externalConversationId":"conv-%d","sessionId":"session-%d","agentId":"agent_1","sessionType":"webcall","status":"done","startTime":%q,"locale":"en_us","tags":["a"],"metadata":{"locale":"en_us","draft":true},"transcript":{"raw":"[{\"speaker\":\"agent\",\"text\":\"Hello! How can I help you?\"}]"}}`, i, i, i, at)
}
