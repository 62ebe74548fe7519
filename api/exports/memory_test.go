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
func (f *fixture) long(id string, size int) string {
	f.Helper()
	turn := `{"speaker":"agent","text":"` + strings.Repeat("what was said ", 20) + `","timestamp":"2024-01-15T10:31:00Z"},` + "\n"
	raw := "[" + strings.Repeat(turn, size/len(turn)) + `{"function":"end_call","timestamp":"2024-01-15T10:32:00Z"}]`
	_, err := f.c.Register(f.Context(), "org_123", catalog.Batch{Conversations: []catalog.Line[domain.Conversation]{{Number: 1, Value: domain.Conversation{
		ID: id, AgentID: "a", Start: time.Unix(1705314600, 0).UTC(), TranscriptRaw: &raw}}}})
	f.must(err)
	return raw
}

// TestLongTranscript exports 50 MB while less than half of that is in memory at any time.
func TestLongTranscript(t *testing.T) {
	const size = 50 << 20
	onBoth(t, func(f *fixture) {
		f.long("long", size)
		debug.SetGCPercent(20) // so that little garbage is counted
		defer debug.SetGCPercent(100)
		m := &apitest.HeapMeter{}
		base := apitest.Heap()
		r := httptest.NewRequest(http.MethodPost, jsonPath, strings.NewReader(`{"conversationId":"long"}`))
		r.Header.Set("x-api-key", f.key)
		r.Header.Set("Content-Type", jsonType)
		f.h.ServeHTTP(m, r)
		if m.Status != 0 && m.Status != http.StatusOK || m.Bytes < size || !strings.Contains(string(m.Last), `"functionCalls":[{"function":"end_call","parameters":{},"timestamp":"2024-01-15T10:32:00Z"}]`) {
			f.Fatalf("answered %d, %d bytes that end %.500s", m.Status, m.Bytes, m.Last)
		}
		grown := int64(m.Peak) - int64(base)
		f.Logf("%d MiB exported with %d KiB of the heap", m.Bytes>>20, grown>>10)
		if grown > size/2 {
			f.Errorf("the heap grew by %d MiB", grown>>20)
		}
	})
}

// A long transcript arrives byte for byte.
func TestLongTranscriptArrives(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	raw := f.long("long", 10<<20)
	if d := f.export("long", ""); d.Conversation.Transcript.Raw != raw {
		t.Fatal("another transcript")
	}
	server := httptest.NewServer(f.h)
	defer server.Close()
	response := f.post(server.URL+docPath, "long")
	defer response.Body.Close()
	var d document
	if err := json.NewDecoder(response.Body).Decode(&d); err != nil || d.Conversation.Transcript.Raw != raw {
		t.Fatalf("another transcript, error %v", err)
	}
}

// When a transcript is replaced while it is sent, the connection breaks.
func TestTranscriptReplaced(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	f.long("long", 40<<20)
	server := httptest.NewServer(f.h)
	defer server.Close()
	response := f.post(server.URL+jsonPath, "long")
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 1<<20)); err != nil || response.StatusCode != 200 {
		t.Fatalf("answered %s, error %v", response.Status, err)
	}
	f.load("org_123", line("long", `,"transcript":{"raw":"[]"}`))
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Fatalf("the answer ended well after %d bytes more", n)
	}
}

func (f *fixture) post(target, id string) *http.Response {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), http.MethodPost, target, strings.NewReader(`{"conversationId":`+string(quoted(id))+`}`))
	f.must(err)
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("x-api-key", f.key)
	response, err := http.DefaultClient.Do(r)
	f.must(err)
	return response
}
