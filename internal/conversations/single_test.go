package conversations

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

func TestExport(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := open(t, url)
			for _, id := range []string{"acme", "other"} {
				if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
					t.Fatal(err)
				}
			}
			t.Run("everything", func(t *testing.T) { exportEverything(t, c) })
			t.Run("little", func(t *testing.T) { exportLittle(t, c) })
			t.Run("in pieces", func(t *testing.T) { exportPieces(t, c) })
		})
	}
}

func take(t *testing.T, c *catalog.Catalog, v domain.Conversation, agents ...domain.Agent) {
	t.Helper()
	b := catalog.Batch{Conversations: []catalog.Line[domain.Conversation]{{Number: 1, Value: v}}}
	for _, a := range agents {
		b.Agents = append(b.Agents, catalog.Line[domain.Agent]{Number: 2, Value: a})
	}
	if _, err := c.Register(t.Context(), "acme", b); err != nil {
		t.Fatal(err)
	}
}

func exportEverything(t *testing.T, c *catalog.Catalog) {
	at := func(minute int) *time.Time {
		v := time.Date(2024, 1, 15, 10, minute, 0, 1000, time.UTC)
		return &v
	}
	raw := `[{"a":"é"}]`
	want := domain.Conversation{
		ID: "all", ExternalID: "x", SessionID: "s", AgentID: "a", SessionType: "webcall", SessionStatus: "completed", Status: "done",
		CallSuccessful: "success", Start: *at(1), End: at(2), LastAction: at(3), Locale: "en", Tags: json.RawMessage(`["b","a"]`),
		Metadata: json.RawMessage(`{"z":1.0,"a":1}`), CallDirection: "inbound", CallerPhone: "+1", CalleePhone: "+2", KeyMode: "k",
		AgentModel: "m", AgentArchitecture: "p", BaseCost: json.RawMessage(`0.250`), TotalCost: json.RawMessage(`4.5e-1`),
		User: json.RawMessage(`{"id":"u","b":1,"a":2}`), UserID: "u", TranscriptCreated: at(4), AnalysisData: json.RawMessage(`{"y":1E2,"x":0}`),
		Analyzed: at(5), RecordingID: "r", RecordingKey: "acme/r.webm", RecordingCreated: at(6),
	}
	line := want
	line.TranscriptRaw = &raw
	take(t, c, line, domain.Agent{ID: "a", Name: "Bot", Description: "d", Body: json.RawMessage(`{"q":1,"agentId":"a","description":"d"}`)})
	e, err := New(c.DB()).Export(t.Context(), "acme", "all", true)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(e.Conversation)
	wanted, _ := json.Marshal(want)
	if string(got) != string(wanted) {
		t.Fatalf("got\n%s\nwant\n%s", got, wanted)
	}
	if e.Agent == nil || e.Agent.Name != "Bot" || e.Agent.Description != "d" || string(e.Agent.Body) != `{"q":1,"agentId":"a","description":"d"}` {
		t.Fatalf("agent %+v", e.Agent)
	}
	if text, err := io.ReadAll(e.Transcript.Reader(t.Context())); err != nil || string(text) != raw {
		t.Fatalf("transcript %q, error %v", text, err)
	}
	if e, err = New(c.DB()).Export(t.Context(), "acme", "all", false); err != nil || e.Transcript != nil {
		t.Fatalf("a transcript that was not asked for: %v, error %v", e.Transcript, err)
	}
}

func exportLittle(t *testing.T, c *catalog.Catalog) {
	take(t, c, domain.Conversation{ID: "little", AgentID: "unknown", Start: time.Unix(1, 0).UTC()})
	e, err := New(c.DB()).Export(t.Context(), "acme", "little", true)
	if err != nil || e.Agent != nil || e.Transcript != nil || e.Conversation.End != nil || e.Conversation.User != nil || e.Conversation.BaseCost != nil {
		t.Fatalf("%+v, error %v", e, err)
	}
	empty := ""
	take(t, c, domain.Conversation{ID: "silent", AgentID: "unknown", Start: time.Unix(1, 0).UTC(), TranscriptRaw: &empty})
	if e, err = New(c.DB()).Export(t.Context(), "acme", "silent", true); err != nil || e.Transcript == nil {
		t.Fatalf("an empty transcript is none: error %v", err)
	}
	if text, err := io.ReadAll(e.Transcript.Reader(t.Context())); err != nil || len(text) > 0 {
		t.Fatalf("%q, error %v", text, err)
	}
	_, err = c.Register(t.Context(), "acme", catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: "k", ConversationID: "stub", SessionID: "s", Type: "t", Timestamp: time.Now().Add(-time.Hour)}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][2]string{{"acme", "stub"}, {"other", "little"}, {"acme", "nowhere"}, {"nobody", "little"}} {
		_, err := New(c.DB()).Export(t.Context(), key[0], key[1], true)
		if domain.KindOf(err) != domain.KindNotFound {
			t.Errorf("%v: %v", key, err)
		}
	}
}

// The text is longer than two pieces, and a character of three bytes is divided at each border.
func exportPieces(t *testing.T, c *catalog.Catalog) {
	raw := strings.Repeat("a€\U0001F600b", 9<<20/4)
	v := domain.Conversation{ID: "long", AgentID: "a", Start: time.Unix(1, 0).UTC(), TranscriptRaw: &raw}
	take(t, c, v)
	e, err := New(c.DB()).Export(t.Context(), "acme", "long", true)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(e.Transcript.Reader(t.Context())); err != nil || string(text) != raw {
		t.Fatalf("%d of %d bytes, error %v", len(text), len(raw), err)
	}
	// The text is replaced while it is read: the reader must not continue with the new text.
	if e, err = New(c.DB()).Export(t.Context(), "acme", "long", true); err != nil {
		t.Fatal(err)
	}
	r := e.Transcript.Reader(t.Context())
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	v.Locale = "other"
	take(t, c, v)
	if _, err := io.Copy(io.Discard, r); domain.KindOf(err) != domain.KindConflict {
		t.Fatalf("got %v", err)
	}
}
