package ingest_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
)

// formers returns all former values of a conversation, agent or message, the latest first, as
// "field=value".
func formers(t *testing.T, c *catalog.Catalog, tenant, kind, id string) (list []string) {
	t.Helper()
	const limit, maxBytes = 3, 2000
	for before := int64(0); ; {
		page, err := c.FormerValues(t.Context(), catalog.Subject{Tenant: tenant, Kind: kind, ID: id}, before, limit, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Values {
			if v.At.IsZero() || v.Actor != "internal" {
				t.Errorf("%s was replaced at %v by %q", v.Field, v.At, v.Actor)
			}
			list = append(list, v.Field+"="+string(v.Value))
		}
		if before = page.Next; before == 0 {
			return list
		}
	}
}

// send stores lines in one batch.
func send(t *testing.T, c *catalog.Catalog, tenant string, lines ...string) ingest.Result {
	t.Helper()
	result, err := ingest.Load(t.Context(), ingest.WithOrigin(audit.Origin{Actor: "internal", Request: "r-1"}, c), tenant,
		strings.NewReader(strings.Join(lines, "\n")), nil)
	if err != nil {
		t.Fatalf("%v in\n%.2000s", err, strings.Join(lines, "\n"))
	}
	return result
}

// audits returns the audit log's details of replaced values.
func audits(t *testing.T, c *catalog.Catalog, tenant string) (list []string) {
	t.Helper()
	at, err := c.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = c.Audit(t.Context(), tenant, at.Add(-time.Hour), at.Add(time.Hour), func(e audit.Entry) error {
		if e.Action == catalog.ActionReplaced {
			list = append(list, e.Actor+" "+string(e.Detail))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A line with only a status must not clear the transcript, the analysis and the recording. A line
// that turns a refusal into a consent must keep the refusal as a former value.
func TestLinesKeepWhatTheyLack(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, _ *sql.DB) {
		const refusal, consent = `[{"role":"user","text":"I do not consent"}]`, `[{"role":"user","text":"I consent"}]`
		whole := `{"kind":"conversation","conversationId":"c1","agentId":"a1","startTime":"2024-01-15T10:30:00Z","status":"in-progress",` +
			`"transcript":{"raw":` + fmt.Sprintf("%q", refusal) + `,"createdAt":"2024-01-15T10:36:00Z"},` +
			`"postCallAnalysis":{"analysisData":{"z":1.0}},"recording":{"id":"r","objectKey":"whole.webm"}}`
		send(t, c, "t", whole)
		if n := send(t, c, "t", `{"kind":"conversation","conversationId":"c1","status":"done"}`).Changed; n != 1 {
			t.Errorf("the status changed %d rows", n)
		}
		e, err := conversations.New(c.DB()).Export(t.Context(), "t", "c1", true)
		if err != nil || e.Transcript == nil {
			t.Fatal(e.Transcript, err)
		}
		v := e.Conversation
		expect(t, fmt.Sprint(v.Status, string(v.AnalysisData), v.RecordingID, v.RecordingKey, v.TranscriptCreated != nil), `done{"z":1.0}rwhole.webmtrue`)
		for range 2 {
			send(t, c, "t", `{"kind":"conversation","conversationId":"c1","transcript":{"raw":`+fmt.Sprintf("%q", consent)+`}}`)
		}
		send(t, c, "t", `{"kind":"conversation","conversationId":"c1","recording":null,"postCallAnalysis":{"analysisData":null}}`)
		if d := cmp.Diff([]string{`recording.objectKey="whole.webm"`, `recording.id="r"`, `postCallAnalysis.analysisData={"z":1.0}`,
			"transcript.raw=" + fmt.Sprintf("%q", refusal), `status="in-progress"`}, sorted(formers(t, c, "t", "conversation", "c1"), 3)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{`internal {"conversations":{"replaced":1,"cleared":0},"request":"r-1"}`, `internal {"conversations":{"replaced":1,"cleared":0},"request":"r-1"}`,
			`internal {"conversations":{"replaced":0,"cleared":3},"request":"r-1"}`}, audits(t, c, "t")); d != "" {
			t.Error(d)
		}
	})
}

// TestValueThatChangesItsField: a line that moves a value from one field to another is no repeat.
func TestValueThatChangesItsField(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		const line = `{"kind":"conversation","conversationId":"c1","agentId":"a1","startTime":"2024-01-15T10:30:00Z","callerPhone":%s,"calleePhone":%s}`
		send(t, c, "t", fmt.Sprintf(line, `"+90"`, "null"))
		if n := send(t, c, "t", fmt.Sprintf(line, "null", `"+90"`)).Changed; n != 1 {
			t.Errorf("%d rows changed", n)
		}
		expect(t, scan(t, rows, "caller_phone,callee_phone", "conversations"), "∅|+90")
		if d := cmp.Diff([]string{`callerPhone="+90"`}, formers(t, c, "t", "conversation", "c1")); d != "" {
			t.Error(d)
		}
	})
}

// sorted sorts the first n values, which one line replaced in any order.
func sorted(list []string, n int) []string {
	slices.Sort(list[:min(n, len(list))])
	slices.Reverse(list[:min(n, len(list))])
	return list
}

// TestEachField sends every field, leaves it out, sends it again, replaces it and clears it.
func TestEachField(t *testing.T) {
	text := func(column string) [3]string { return [3]string{column, `"one"`, `"two"`} }
	instant := func(column string) [3]string {
		return [3]string{column, `"2024-01-15T10:30:00Z"`, `"2024-01-15T10:30:00.25Z"`}
	}
	fields := map[string][3]string{ // column and two values
		"externalConversationId": text("external_id"), "sessionId": text("session_id"), "sessionType": text("session_type"),
		"sessionStatus": text("session_status"), "locale": text("locale"), "callDirection": text("call_direction"), "callerPhone": text("caller_phone"),
		"calleePhone": text("callee_phone"), "keyMode": text("key_mode"), "agentModel": text("agent_model"), "agentArchitecture": text("agent_architecture"),
		"agentId": text("agent_id"), "startTime": instant("start_us"), "endTime": instant("end_us"), "lastActionAt": instant("last_action_us"),
		"status": {"status", `"done"`, `"failed"`}, "callSuccessful": {"call_successful", `"success"`, `"failure"`},
		"tags": {"tags", `["a"]`, `["a", "b"]`}, "metadata": {"metadata", `{"a":1.0}`, `{"a":1}`}, "user": {"user_id", `{"id":"u"}`, `{"id":"v"}`},
		"baseCost": {"base_cost", `0.250`, `0.25`}, "totalCost": {"total_cost", `1`, `2`},
		"transcript.raw": {"transcript_turns", `"[{\"text\":\"hi\"}]"`, `"[]"`}, "transcript.createdAt": instant("transcript_created_us"),
		"postCallAnalysis.analysisData": {"analysis", `{}`, `{"a":null}`}, "postCallAnalysis.analyzedAt": instant("analyzed_us"),
		"recording.id": text("recording_id"), "recording.objectKey": {"recording_key", `"k/1"`, `"k/2"`}, "recording.createdAt": instant("recording_created_us"),
	}
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		line := func(name, value string) string {
			part, member, nested := strings.Cut(name, ".")
			inner := fmt.Sprintf("%q:%s", part, value)
			if nested {
				inner = fmt.Sprintf("%q:{%q:%s}", part, member, value)
			}
			return fmt.Sprintf(`{"kind":"conversation","conversationId":%q,%s}`, name, inner)
		}
		const required = 2 // fields that are never cleared
		for i, step := range []struct {
			value   int // 1 or 2: which value; 0: null; -1: absent
			changed int
			stands  bool
			formers []int
		}{
			{1, len(fields), true, nil},
			{-1, 0, true, nil},
			{1, 0, true, nil},
			{2, len(fields), true, []int{1}},
			{2, 0, true, []int{1}},
			{0, len(fields) - required, false, []int{2, 1}},
			{0, 0, false, []int{2, 1}},
			{1, len(fields) - required, true, []int{2, 1}},
		} {
			var lines, checked []string
			for name, f := range fields {
				value := f[max(step.value, 0)]
				switch {
				case i >= 5 && (name == "agentId" || name == "startTime"):
					continue
				case step.value == 0:
					value = "null"
				case step.value < 0:
					value = `""`
				}
				checked = append(checked, name)
				text := line(name, value)
				switch {
				case step.value < 0:
					text = line("x", value)
					text = strings.Replace(text, `"conversationId":"x"`, fmt.Sprintf(`"conversationId":%q`, name), 1)
				case i == 0 && name == "agentId":
					text = strings.Replace(text, `"kind"`, `"startTime":"2024-01-15T10:30:00Z","kind"`, 1)
				case i == 0 && name == "startTime":
					text = strings.Replace(text, `"kind"`, `"agentId":"one","kind"`, 1)
				case i == 0:
					text = strings.Replace(text, `"kind"`, `"agentId":"one","startTime":"2024-01-15T10:30:00Z","kind"`, 1)
				}
				lines = append(lines, text)
			}
			if n := send(t, c, "t", lines...).Changed; n != step.changed {
				t.Errorf("step %d: %d rows changed, want %d", i, n, step.changed)
			}
			for _, name := range checked {
				if got := scan(t, rows, fields[name][0], "conversations WHERE id = '"+name+"'"); (got != "∅") != step.stands {
					t.Errorf("%s, step %d: the column is %s", name, i, got)
				}
				var want []string
				for _, v := range step.formers {
					want = append(want, name+"="+fields[name][v])
				}
				if d := cmp.Diff(want, formers(t, c, "t", "conversation", name)); d != "" {
					t.Errorf("%s, step %d: %s", name, i, d)
				}
			}
		}
	})
}

func TestFirstLineNeedsAgentAndStart(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, _ *sql.DB) {
		const stub = `{"kind":"recording","conversationId":"c1","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T23:59:59Z","objectKey":"1"}`
		const full, bare = `{"kind":"conversation","conversationId":"c1","agentId":"a","startTime":"2024-01-15T10:30:00Z"}`, `{"kind":"conversation","conversationId":"c1","status":"done"}`
		send(t, c, "t", stub)
		for lines, want := range map[string]string{
			bare: `line 1: "agentId" is missing; the first line of a conversation needs it`,
			stub + "\n" + strings.Replace(full, `"startTime"`, `"x"`, 1): `line 2: "startTime" is missing; the first line of a conversation needs it`,
			bare + "\n" + full:                    `line 1: "agentId" is missing; the first line of a conversation needs it`,
			strings.Replace(bare, "c1", "new", 1): `line 1: "agentId" is missing; the first line of a conversation needs it`,
			strings.NewReplacer("c1", "new", `"startTime"`, `"x"`).Replace(full):             `line 1: "startTime" is missing; the first line of a conversation needs it`,
			strings.Replace(bare, "c1", "b", 1) + "\n" + strings.Replace(bare, "c1", "d", 1): `line 1: "agentId" is missing; the first line of a conversation needs it`,
		} {
			_, err := ingest.Load(t.Context(), c, "t", strings.NewReader(lines), nil)
			if err == nil || err.Error() != want {
				t.Errorf("%s\n got %v\nwant %s", lines, err, want)
			}
		}
		if n := send(t, c, "t", full, bare).Changed; n != 1 {
			t.Errorf("%d rows changed", n)
		}
		send(t, c, "t", bare)
	})
}

// TestLinesOfABatchCount: a row counts once, however many lines of a batch change it. A batch that
// ends with the values it began with changes nothing when it is sent again.
func TestLinesOfABatchCount(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, _ *sql.DB) {
		line := func(status string) string {
			return `{"kind":"conversation","conversationId":"c1","agentId":"a","startTime":"2024-01-15T10:30:00Z","status":"` + status + `"}`
		}
		for _, step := range []struct {
			lines   []string
			changed int
		}{
			{[]string{line("done"), line("initiated")}, 1},
			{[]string{`{"kind":"agent","agentId":"x","name":"1"}`, `{"kind":"agent","agentId":"x","name":"2"}`}, 1},
			{[]string{line("done"), line("initiated")}, 0},
			{[]string{line("failed"), line("initiated")}, 1},
			{[]string{line("failed"), line("initiated")}, 0},
		} {
			if n := send(t, c, "t", step.lines...).Changed; n != step.changed {
				t.Errorf("%s changed %d rows, want %d", step.lines, n, step.changed)
			}
		}
		want := []string{`status="failed"`, `status="initiated"`, `status="done"`}
		if d := cmp.Diff(want, formers(t, c, "t", "conversation", "c1")); d != "" {
			t.Error(d)
		}
	})
}

// TestBodiesMerge: merging keeps the order of existing keys.
func TestBodiesMerge(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		for _, s := range []struct{ line, want string }{
			{`{"kind":"agent","z":1.0,"agentId":"x","name":"n","description":"d","list":[1, 2]}`, `n|d|{"z":1.0,"agentId":"x","name":"n","description":"d","list":[1, 2]}`},
			{`{"kind":"agent","agentId":"\u0078","b":2,"description":null,"l\u0069st":[1,2]}`, `n|∅|{"z":1.0,"agentId":"\u0078","name":"n","description":null,"l\u0069st":[1,2],"b":2}`},
			{`{"kind":"agent","name":"m","agentId":"x"}`, `m|∅|{"z":1.0,"agentId":"x","name":"m","description":null,"l\u0069st":[1,2],"b":2}`},
		} {
			send(t, c, "t", s.line)
			expect(t, scan(t, rows, "name,description,body", "agents"), s.want)
			if n := send(t, c, "t", s.line).Changed; n != 0 {
				t.Errorf("the repeat of %s changed %d rows", s.line, n)
			}
		}
		if d := cmp.Diff([]string{`name="n"`, `list=[1, 2]`, `description="d"`}, formers(t, c, "t", "agent", "x")); d != "" {
			t.Error(d)
		}
		send(t, c, "t", `{"kind":"message","messageId":"m","conversationId":"c","time":1,"type":"UserInput","text":"no","n":1}`,
			`{"kind":"message","messageId":"m","conversationId":"c","time":1.5,"type":"UserInput","text":"yes"}`)
		expect(t, scan(t, rows, "time_us,body", "messages"), `1500000|{"messageId":"m","conversationId":"c","time":1.5,"type":"UserInput","text":"yes","n":1}`)
		if d := cmp.Diff([]string{`text="no"`, `time=1`}, formers(t, c, "t", "message", "m")); d != "" {
			t.Error(d)
		}
		big := strings.Repeat("x", 600_000)
		send(t, c, "t", `{"kind":"agent","agentId":"x","big":"`+big+`"}`)
		_, err := ingest.Load(t.Context(), c, "t", strings.NewReader(`{"kind":"agent","agentId":"x","big2":"`+big+`"}`), nil)
		if err == nil || err.Error() != "line 1: merged with its earlier lines, the agent has more than 1048576 bytes; send fewer or shorter fields" {
			t.Error(err)
		}
	})
}

// TestContentTypeIsKept: a later line replaces a recording's content type and nothing else.
func TestContentTypeIsKept(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		line := func(contentType string) string {
			return `{"kind":"recording","conversationId":"c1","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T23:59:59Z","objectKey":"a/b","contentType":` + contentType + `}`
		}
		send(t, c, "t", line("null"), line(`"audio/ogg"`))
		send(t, c, "t", line(`"audio/webm"`), line(`"audio/webm"`), line(`"a\"b"`), line("null"))
		send(t, c, "t", line(`"a\"b"`))
		expect(t, scan(t, rows, "content_type", "recordings"), `a"b`)
		if d := cmp.Diff([]string{`contentType="audio/webm"`, `contentType="audio/ogg"`}, formers(t, c, "t", "recording", "a/b")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{`internal {"recordings":{"replaced":2,"cleared":0},"request":"r-1"}`}, audits(t, c, "t")); d != "" {
			t.Error(d)
		}
	})
}

// TestLinesOfABatchFold sends the same lines in batches to one tenant and one by one to another.
func TestLinesOfABatchFold(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "u", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 6 {
			lines := randomLines(random, 15)
			send(t, c, "t", lines...)
			for _, line := range lines {
				send(t, c, "u", line)
			}
		}
		state := func(tenant string) (all []string) {
			for _, q := range []string{
				`SELECT coalesce(external_id, '∅') || status || coalesce(user_body, '∅') || coalesce(user_id, '∅') || coalesce(metadata, '∅') || coalesce(transcript_turns, -1) ||
					coalesce((SELECT raw FROM transcripts r WHERE r.tenant = c.tenant AND r.conversation_id = c.id), '∅') FROM conversations c WHERE tenant = $1 ORDER BY id`,
				`SELECT id || name || coalesce(description, '∅') || body FROM agents WHERE tenant = $1 ORDER BY id`,
				`SELECT id || conversation_id || coalesce(agent_id, '∅') || time_us || body FROM messages WHERE tenant = $1 ORDER BY id`,
			} {
				for i := range 3 {
					var s string
					if err := rows.QueryRowContext(context.Background(), q+" LIMIT 1 OFFSET $2", tenant, i).Scan(&s); err != nil {
						t.Fatal(err)
					}
					all = append(all, s)
				}
			}
			for _, kind := range []string{"agent", "conversation", "message"} {
				for _, id := range []string{"1", "2", "3"} {
					byField := map[string][]string{}
					for _, f := range formers(t, c, tenant, kind, id) {
						name, _, _ := strings.Cut(f, "=")
						byField[name] = append(byField[name], f)
					}
					all = append(all, fmt.Sprint(kind, id, byField))
				}
			}
			return all
		}
		apart, folded := state("u"), state("t")
		if d := cmp.Diff(apart, folded); d != "" || len(apart) != 18 {
			t.Errorf("%d: %s", len(apart), d)
		}
	})
}

// randomLines returns lines about three ids of each kind, with few values of few fields.
func randomLines(random *rand.Rand, n int) (lines []string) {
	one := func(values ...string) string { return values[random.IntN(len(values))] }
	long := strings.Repeat("漢字 ", 60)
	for range n {
		line := fmt.Sprintf(`"conversationId":"%d","agentId":"%d","startTime":"2024-01-15T10:30:00Z"`, 1+random.IntN(3), 1+random.IntN(3))
		switch random.IntN(4) {
		case 0:
			line = `"kind":"agent",` + fmt.Sprintf(`"agentId":"%d"`, 1+random.IntN(3)) + one("", `,"name":"a"`, `,"name":null`, `,"x":{"a":1},"name":"b"`, `,"description":"d"`)
		case 1:
			line = `"kind":"message",` + fmt.Sprintf(`"messageId":"%d","conversationId":"%d","type":"T"`, 1+random.IntN(3), 1+random.IntN(3)) +
				one(`,"time":1`, `,"time":2,"a":"`+long+`"`, `,"time":2,"a":null`, `,"b":1,"a":"x","time":3`)
		default:
			line = `"kind":"conversation",` + line + `,"status":` + one(`"done"`, `"failed"`) + one("", `,"externalConversationId":"e"`, `,"externalConversationId":""`) +
				one("", `,"user":{"id":"u"}`, `,"user":{}`, `,"user":null`) + one("", `,"metadata":{"a":"`+long+one("a", "b")+`"}`, `,"metadata":null`) +
				one("", `,"transcript":{"raw":"[{\"text\":\"`+long[:7*random.IntN(60)]+`\"}]"}`, `,"transcript":null`, `,"transcript":{"raw":"`+one("", long)+`"}`)
		}
		lines = append(lines, "{"+line+"}")
	}
	return lines
}

// TestHistoryIsNoSquare resends a conversation with each turn: the history grows linearly.
func TestHistoryIsNoSquare(t *testing.T) {
	const turns, batch = 120, 8
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		var raw strings.Builder
		var lines, want []string
		for i := range turns {
			fmt.Fprintf(&raw, `,{"role":"user","text":"turn %d is as long as what somebody says in one go, à peu près"}`, i)
			value := fmt.Sprintf("%q", "["+raw.String()[1:]+"]")
			lines = append(lines, `{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z","transcript":{"raw":`+value+
				`},"metadata":{"seen":`+value+`}}`)
			if i < turns-1 {
				want = append(want, "transcript.raw="+value)
			}
			if len(lines) == batch {
				send(t, c, "t", lines...)
				if n := send(t, c, "t", lines...).Changed; n != 0 {
					t.Errorf("the repeat of a batch changed %d rows", n)
				}
				lines = nil
			}
		}
		got := slices.DeleteFunc(formers(t, c, "t", "conversation", "c"), func(f string) bool { return !strings.HasPrefix(f, "transcript") })
		slices.Reverse(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%.3000s", d)
		}
		if kept := scan(t, rows, "count(*) || ' ' || (sum(length(value)) < 2000)", "history"); kept != fmt.Sprint(2*(turns-1), " true") && kept != fmt.Sprint(2*(turns-1), " 1") {
			t.Errorf("%s former values: %s bytes", kept, scan(t, rows, "sum(length(value))", "history"))
		}
	})
}
