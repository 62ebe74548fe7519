package conversations_test

import (
	"encoding/json"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
)

// meter takes an answer without keeping it, and looks at the heap now and then.
type meter struct {
	header http.Header
	bytes  int
	next   int
	peak   uint64 // bytes of the heap that are in use after a collection
	last   []byte
}

func (m *meter) Header() http.Header { return m.header }
func (m *meter) WriteHeader(int)     {}

func (m *meter) Write(b []byte) (int, error) {
	if m.bytes >= m.next {
		m.next += 2 << 20
		m.peak = max(m.peak, heap())
	}
	m.bytes += len(b)
	m.last = append(m.last[:0], b...)
	return len(b), nil
}

// heap is what is in use once the garbage is gone.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestLongTranscript shows 40 MB and holds a few pieces of it.
func TestLongTranscript(t *testing.T) {
	const size = 40 << 20
	b := newBench(t, apitest.SQLite(t))
	turn := `{"role":"agent","text":"` + strings.Repeat("what was said ", 20) + `"},`
	raw := "[" + strings.Repeat(turn, size/len(turn)) + `{"role":"user","text":"bye"}]`
	line, err := json.Marshal(map[string]any{"kind": "conversation", "conversationId": "long", "agentId": "a", "startTime": "2024-01-15T10:30:00Z",
		"transcript": map[string]string{"raw": raw}})
	if err != nil {
		t.Fatal(err)
	}
	b.load("acme", string(line)+"\n")
	debug.SetGCPercent(20)
	defer debug.SetGCPercent(100)
	m := &meter{header: http.Header{}}
	base := heap()
	b.handler.ServeHTTP(m, request(http.MethodGet, "/conversations/long", key))
	if m.bytes < size || !strings.Contains(string(m.last), `{"role":"user","message":"bye","time_in_call_secs":0}],"metadata":{`) {
		t.Fatalf("%d bytes that end %.300s", m.bytes, m.last)
	}
	if grown := int64(m.peak) - int64(base); grown > size/2 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
