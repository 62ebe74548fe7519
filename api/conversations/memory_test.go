package conversations_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
)

// TestLongTranscript shows 40 MB while only a few pieces of it are in memory.
func TestLongTranscript(t *testing.T) {
	const size = 40 << 20
	f := newFixture(t, apitest.SQLite(t))
	turn := `{"role":"agent","text":"` + strings.Repeat("what was said ", 20) + `"},`
	raw := "[" + strings.Repeat(turn, size/len(turn)) + `{"role":"user","text":"bye"}]`
	line, err := json.Marshal(map[string]any{"kind": "conversation", "conversationId": "long", "agentId": "a", "startTime": "2024-01-15T10:30:00Z",
		"transcript": map[string]string{"raw": raw}})
	if err != nil {
		t.Fatal(err)
	}
	f.load("acme", string(line)+"\n")
	f.wantPieces(size)
}

// TestManyMessages shows 20 MB of messages while only a few pieces of them are in memory.
func TestManyMessages(t *testing.T) {
	const size = 20 << 20
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			var lines strings.Builder
			lines.WriteString(`{"kind":"conversation","conversationId":"long","agentId":"a","startTime":"2024-01-15T10:30:00Z"}` + "\n")
			message := `{"kind":"message","messageId":"m%05d","conversationId":"long","time":1705314600,"type":"UserInput","userInput":"` + strings.Repeat("what was said ", 1000) + `"}` + "\n"
			n := size / len(message)
			for i := range n {
				fmt.Fprintf(&lines, message, i)
			}
			lines.WriteString(`{"kind":"message","messageId":"z","conversationId":"long","time":1705314600,"type":"UserInput","userInput":"bye"}` + "\n")
			f.load("acme", lines.String())
			f.wantPieces(n * 14_000)
		})
	}
}

// wantPieces shows the conversation "long", which has a size and ends with "bye".
func (f *fixture) wantPieces(size int) {
	f.Helper()
	debug.SetGCPercent(20)
	defer debug.SetGCPercent(100)
	m := &apitest.HeapMeter{}
	base := apitest.Heap()
	f.handler.ServeHTTP(m, request(http.MethodGet, "/conversations/long", key))
	if m.Bytes < size || !strings.Contains(string(m.Last), `{"role":"user","message":"bye","time_in_call_secs":0}],"metadata":{`) {
		f.Fatalf("%d bytes that end %.300s", m.Bytes, m.Last)
	}
	if grown := int64(m.Peak) - int64(base); grown > int64(size/2) {
		f.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// TestSummariesAreBounded lists conversations whose summaries don't fit into one page.
func TestSummariesAreBounded(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			for i := range 5 {
				f.load("acme", fmt.Sprintf(`{"kind":"conversation","conversationId":"c%d","agentId":"a","startTime":"2024-01-15T10:30:0%dZ","postCallAnalysis":{"analysisData":{"call_summary":%q}}}`,
					i, i, strings.Repeat("y", 600_000)))
			}
			if ids, pages := f.walk(plainList + "?summary_mode=include"); !slices.Equal(ids, []string{"c4", "c3", "c2", "c1", "c0"}) || pages != 3 {
				t.Errorf("%q in %d pages", ids, pages)
			}
			if _, pages := f.walk(plainList + "?summary_mode=exclude"); pages != 1 {
				t.Errorf("%d pages without summaries", pages)
			}
		})
	}
}
