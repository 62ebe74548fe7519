package api_test

import (
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
)

// What an API key holds counts in every family, and nobody else is refused for it.
func TestBudgetOfAKey(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	_, other := f.apiKey()
	release, err := f.budget.Acquire("acme", catalog.CredentialKey.Actor(f.keyID), 16<<20)
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
	release()
	ask(200)
}
