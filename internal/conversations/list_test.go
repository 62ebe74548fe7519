package conversations

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// TestLargeAnalyses lists conversations of which one has a large analysis: it waits until no other
// one is read. Lists that do not need it do not wait.
func TestLargeAnalyses(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := open(t, url)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
			must(err)
			at := time.Unix(1_700_000_000, 0)
			var b catalog.Batch
			for i, pad := range []int{0, 1 << 20} {
				b.Conversations = append(b.Conversations, catalog.Line[domain.Conversation]{Number: i + 1, Value: domain.Conversation{
					ID: []string{"small", "large"}[i], AgentID: "a", Start: at,
					AnalysisData: []byte(`{"x":"` + strings.Repeat("x", pad) + `","call_summary":"what was said"}`)}})
			}
			_, err = c.Register(t.Context(), "acme", b)
			must(err)
			r := New(c.DB())
			list := func(ctx context.Context, summaries bool) (said []string, err error) {
				page, err := r.List(ctx, ListQuery{Tenant: "acme"}, nil, 10, summaries)
				for _, h := range page.Rows {
					said = append(said, h.ID+": "+h.Summary)
				}
				return said, err
			}
			said, err := list(t.Context(), true)
			must(err)
			if got := strings.Join(said, ", "); got != "small: what was said, large: what was said" {
				t.Errorf("listed: %s", got)
			}
			r.large <- struct{}{} // another one is read
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := list(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it did not wait: %v", err)
			}
			_, err = list(t.Context(), false)
			must(err)
		})
	}
}
