package conversations_test

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
)

// A call may be longer than a time.Duration can hold.
func TestLongCall(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.load("acme", `{"kind":"conversation","conversationId":"long","agentId":"a","startTime":"2024-01-15T10:30:00Z","endTime":"9999-12-31T23:59:59Z"}`+"\n")
	if a := f.get(plainList); !strings.Contains(string(a.Body), `"call_duration_secs":251696986199`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
