package conversations_test

import (
	"encoding/json"
	"net/http"
	"runtime/debug"
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
	debug.SetGCPercent(20)
	defer debug.SetGCPercent(100)
	m := &apitest.HeapMeter{}
	base := apitest.Heap()
	f.handler.ServeHTTP(m, request(http.MethodGet, "/conversations/long", key))
	if m.Bytes < size || !strings.Contains(string(m.Last), `{"role":"user","message":"bye","time_in_call_secs":0}],"metadata":{`) {
		t.Fatalf("%d bytes that end %.300s", m.Bytes, m.Last)
	}
	if grown := int64(m.Peak) - int64(base); grown > size/2 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
