package conversations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
)

// TestTurns counts the turns in which somebody speaks, and keeps the count when a line without a
// transcript comes.
func TestTurns(t *testing.T) {
	for name, open := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			url := open(t)
			f := newFixture(t, url)
			raw := `{\"items\":[{\"type\":\"message\",\"role\":\"system\",\"content\":[\"Be kind.\"]},{\"type\":\"message\",\"role\":\"user\",\"content\":[\"thanks\"]}]}`
			var lines strings.Builder
			for i, raw := range []string{raw, raw, `[{\"role\":\"system\",\"text\":\"Be kind.\"}]`} {
				fmt.Fprintf(&lines, `{"kind":"conversation","conversationId":"c%d","agentId":"a","startTime":"2024-01-15T10:3%d:00Z","transcript":{"raw":"%s"}}`+"\n", i, i, raw)
				fmt.Fprintf(&lines, `{"kind":"message","conversationId":"c%d","messageId":"m%d","time":1705314600,"type":"UserInput","userInput":"hello"}`+"\n", i, i)
			}
			f.load("acme", lines.String())
			counts := func() string { // newest first
				var list []string
				for _, c := range f.page(plainList).Conversations {
					list = append(list, fmt.Sprint(c.ID, ":", c.MessageCount))
				}
				return strings.Join(list, " ")
			}
			if got := counts(); got != "c2:1 c1:1 c0:1" {
				t.Errorf("new lines: %s", got)
			}
			for id, want := range map[string]string{"c0": `"message":"thanks"`, "c2": `"message":"hello"`} {
				if a := f.get(plainList + "/" + id); !strings.Contains(string(a.Body), want) || !strings.Contains(string(a.Body), `"message_count":1`) {
					t.Errorf("%s: %d %s", id, a.Status, a.Body)
				}
			}
			f.load("acme", `{"kind":"conversation","conversationId":"c0","status":"done"}`+"\n"+`{"kind":"conversation","conversationId":"c1","status":"done"}`+"\n")
			if got := counts(); got != "c2:1 c1:1 c0:1" {
				t.Errorf("after lines without transcripts: %s", got)
			}
		})
	}
}
