package conversations

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// TestLargeAnalyses lists conversations of which one has a large analysis. Memory for it is
// reserved before it is read.
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
			list := func(reserve func(int64) error) (said []string, err error) {
				page, err := r.List(t.Context(), ListQuery{Tenant: "acme"}, nil, 10, reserve)
				for _, h := range page.Rows {
					said = append(said, h.ID+": "+h.Summary)
				}
				return said, err
			}
			var reserved []int64
			said, err := list(func(bytes int64) error {
				reserved = append(reserved, bytes)
				return nil
			})
			must(err)
			if got := strings.Join(said, ", "); got != "small: what was said, large: what was said" {
				t.Errorf("listed: %s", got)
			}
			if len(reserved) != 1 || reserved[0] < 4<<20 || reserved[0] > 5<<20 {
				t.Errorf("%d bytes were reserved", reserved)
			}
			full := errors.New("full")
			if _, err := list(func(int64) error { return full }); !errors.Is(err, full) {
				t.Errorf("it was read without memory: %v", err)
			}
			_, err = list(nil)
			must(err)
		})
	}
}
