package api_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
)

// What an API key holds counts in every family, and nobody else is refused for it.
func TestBudgetOfAKey(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	_, other := f.apiKey()
	hold, err := f.budget.Acquire("acme", catalog.CredentialKey.Actor(f.keyID), 16<<20)
	f.must(err)
	ask := func(want int) {
		t.Helper()
		for _, path := range []string{"/conversations/c1", "/conversations?summary_mode=include",
			"/conversations/export/v1/messages?bot_name=Bot&start_time=0&end_time=2000000000"} {
			if w := f.ask(t.Context(), "GET", path, "", "x-api-key", f.key); w.Code != want {
				t.Errorf("%s answers %d, want %d", path, w.Code, want)
			}
		}
		if w := f.ask(t.Context(), "POST", "/export/conversation", `{"conversationId":"c1"}`, "x-api-key", f.key, "Content-Type", "application/json"); w.Code != want {
			t.Errorf("the single export answers %d, want %d", w.Code, want)
		}
		f.ok(f.ask(t.Context(), "GET", "/conversations/c1", "", "x-api-key", other))
	}
	ask(503)
	hold.Release()
	ask(200)
}

// What a key may not have is refused before it is read.
func TestRefusedBeforeRead(t *testing.T) {
	const size = 12 << 20
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			f.ok(f.ask(t.Context(), "POST", "/api/ingest/v1/records", `{"kind":"conversation","conversationId":"large","agentId":"ag","startTime":"2025-01-01T10:00:00Z",`+
				`"metadata":{"x":"`+strings.Repeat("x", size)+`"}}`, f.platform()...))
			hold, err := f.budget.Acquire("acme", catalog.CredentialKey.Actor(f.keyID), 10<<20)
			f.must(err)
			allocated := func() uint64 {
				var s runtime.MemStats
				runtime.ReadMemStats(&s)
				return s.TotalAlloc
			}
			before := allocated()
			if w := f.ask(t.Context(), "GET", "/conversations/large", "", "x-api-key", f.key); w.Code != 503 {
				t.Errorf("the conversation: %d", w.Code)
			}
			if w := f.ask(t.Context(), "POST", "/export/conversation", `{"conversationId":"large"}`, "x-api-key", f.key, "Content-Type", "application/json"); w.Code != 503 {
				t.Errorf("the single export: %d", w.Code)
			}
			const export = "/conversations/export/v1/conversations?bot_name=ag&start_time=0&end_time=2000000000"
			if w := f.ask(t.Context(), "GET", export, "", "x-api-key", f.key); w.Code != 503 {
				t.Errorf("the bulk export: %d", w.Code)
			}
			if n := allocated() - before; n > size {
				t.Errorf("%d MiB were read all the same", n>>20)
			}
			hold.Release()
			f.ok(f.ask(t.Context(), "GET", "/conversations/large", "", "x-api-key", f.key))
			if w := f.ask(t.Context(), "GET", export, "", "x-api-key", f.key); w.Code != 200 || w.Body.Len() < size {
				t.Errorf("the bulk export: %d, %d bytes", w.Code, w.Body.Len())
			}
			f.ok(f.ask(t.Context(), "POST", "/export/conversation", `{"conversationId":"large"}`, "x-api-key", f.key, "Content-Type", "application/json"))
		})
	}
}
