package exports_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// long registers a conversation whose raw transcript has about size bytes and one call at its end.
func (w *world) long(id string, size int) string {
	w.Helper()
	turn := `{"speaker":"agent","text":"` + strings.Repeat("what was said ", 20) + `","timestamp":"2024-01-15T10:31:00Z"},` + "\n"
	raw := "[" + strings.Repeat(turn, size/len(turn)) + `{"function":"end_call","timestamp":"2024-01-15T10:32:00Z"}]`
	_, err := w.c.Register(w.Context(), "org_123", catalog.Batch{Conversations: []catalog.Line[domain.Conversation]{{Number: 1, Value: domain.Conversation{
		ID: id, AgentID: "a", Start: time.Unix(1705314600, 0).UTC(), TranscriptRaw: &raw}}}})
	w.must(err)
	return raw
}

// TestLongTranscript exports 50 MB. What the process holds of it at any time is a few pieces, less
// than half of its size: never the whole, let alone twice.
func TestLongTranscript(t *testing.T) {
	const size = 50 << 20
	onBoth(t, func(w *world) {
		w.long("long", size)
		debug.SetGCPercent(20) // so that what is counted is held, not waiting to be collected
		defer debug.SetGCPercent(100)
		m := &apitest.Meter{}
		base := apitest.Heap()
		r := httptest.NewRequest(http.MethodPost, jsonPath, strings.NewReader(`{"conversationId":"long"}`))
		r.Header.Set("x-api-key", w.key)
		r.Header.Set("Content-Type", jsonType)
		w.h.ServeHTTP(m, r)
		if m.Status != 0 && m.Status != http.StatusOK || m.Bytes < size || !strings.Contains(string(m.Last), `"functionCalls":[{"function":"end_call","parameters":{},"timestamp":"2024-01-15T10:32:00Z"}]`) {
			w.Fatalf("answered %d, %d bytes that end %.500s", m.Status, m.Bytes, m.Last)
		}
		grown := int64(m.Peak) - int64(base)
		w.Logf("%d MiB exported with %d KiB of the heap", m.Bytes>>20, grown>>10)
		if grown > size/2 {
			w.Errorf("the heap grew by %d MiB", grown>>20)
		}
	})
}

// A long transcript is the same at the other end of a connection, byte for byte.
func TestLongTranscriptArrives(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), exports.Config{})
	raw := w.long("long", 10<<20)
	if d := w.export("long", ""); d.Conversation.Transcript.Raw != raw {
		t.Fatal("another transcript")
	}
	server := httptest.NewServer(w.h)
	defer server.Close()
	response := w.post(server.URL+docPath, "long")
	defer response.Body.Close()
	var d document
	if err := json.NewDecoder(response.Body).Decode(&d); err != nil || d.Conversation.Transcript.Raw != raw {
		t.Fatalf("another transcript, error %v", err)
	}
}

// A conversation that is replaced while its transcript is on its way breaks the connection.
func TestTranscriptReplaced(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), exports.Config{})
	w.long("long", 40<<20)
	server := httptest.NewServer(w.h)
	defer server.Close()
	response := w.post(server.URL+jsonPath, "long")
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 1<<20)); err != nil || response.StatusCode != 200 {
		t.Fatalf("answered %s, error %v", response.Status, err)
	}
	w.load("org_123", line("long", `,"transcript":{"raw":"[]"}`))
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Fatalf("the answer ended well after %d bytes more", n)
	}
}

func (w *world) post(target, id string) *http.Response {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, target, strings.NewReader(`{"conversationId":`+string(quoted(id))+`}`))
	w.must(err)
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("x-api-key", w.key)
	response, err := http.DefaultClient.Do(r)
	w.must(err)
	return response
}
