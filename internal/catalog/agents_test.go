package catalog_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
)

// TestAgentsRace registers conversations and their messages at the same time. In any order, every
// message gets its conversation's agent.
func TestAgentsRace(t *testing.T) {
	const n = 60
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "acme", Export: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			at := time.Unix(1_700_000_000, 0)
			register := func(b catalog.Batch) {
				if _, err := c.Register(t.Context(), "acme", b); err != nil {
					t.Error(err)
				}
			}
			var group sync.WaitGroup
			for i := range n {
				id := fmt.Sprint("c", i)
				group.Go(func() {
					register(catalog.Batch{Messages: []catalog.Line[domain.Message]{{Number: 1,
						Value: domain.Message{ID: "m" + id, ConversationID: id, Time: at, Type: "UserInput", Body: []byte(`{}`)}}}})
				})
				group.Go(func() {
					register(catalog.Batch{Conversations: []catalog.Line[domain.Conversation]{{Number: 1,
						Value: domain.Conversation{ID: id, AgentID: "bot", Start: at}}}})
				})
			}
			group.Wait()
			w := conversations.AgentQuery{BulkQuery: conversations.BulkQuery{Tenant: "acme", From: at, To: at.Add(time.Second)}, Agents: []string{"bot"}}
			page, err := conversations.New(c.DB()).ExportMessages(t.Context(), w, nil, conversations.Limit{Rows: 2 * n, Bytes: 1 << 20})
			if err != nil || len(page.Rows) != n || page.Next != nil {
				t.Errorf("%d of %d messages have their agent, next %v, error %v", len(page.Rows), n, page.Next, err)
			}
		})
	}
}
