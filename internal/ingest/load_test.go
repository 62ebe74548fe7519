package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
)

// slow takes some time for each batch, and notes how many large lines it held at once.
type slow struct {
	mu          sync.Mutex
	large, most int
	small       time.Time // when the last small one came
	took        time.Duration
}

func (s *slow) Register(_ context.Context, _ string, b catalog.Batch) (catalog.Counts, error) {
	n := 0
	for _, c := range b.Conversations {
		if c.Value.TranscriptRaw != nil && len(*c.Value.TranscriptRaw) > 5<<20 {
			n++
		}
	}
	s.mu.Lock()
	s.large += n
	s.most = max(s.most, s.large)
	if n == 0 {
		s.small = time.Now()
	}
	s.mu.Unlock()
	time.Sleep(s.took)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.large -= n
	return catalog.Counts{}, nil
}

// TestLargeLines: large lines are stored one at a time, small ones do not wait for them, and a
// large line that waits too long is refused.
func TestLargeLines(t *testing.T) {
	line := func(id, size int) string {
		return fmt.Sprintf(`{"kind":"conversation","conversationId":"c%d","agentId":"a","startTime":"2024-01-15T10:30:00Z","transcript":{"raw":"%s"}}`+"\n", id, strings.Repeat("x", size))
	}
	for took, whole := range map[time.Duration]int{time.Second: 3, 20 * time.Second: 2, time.Minute: 1} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			to, loader := &slow{took: took}, ingest.NewLoader()
			var streams sync.WaitGroup
			results := make(chan error, 3)
			for i := range 3 {
				streams.Go(func() {
					_, err := loader.Load(t.Context(), to, "acme", strings.NewReader(line(i, 6<<20)), nil)
					results <- err
				})
			}
			synctest.Wait()
			if _, err := loader.Load(t.Context(), to, "acme", strings.NewReader(line(9, 10)), nil); err != nil || to.small != start {
				t.Errorf("a small line came after %s: %v", to.small.Sub(start), err)
			}
			streams.Wait()
			fine := 0
			for range 3 {
				if err := <-results; err == nil {
					fine++
				} else if domain.KindOf(err) != domain.KindUnavailable {
					t.Error(err)
				}
			}
			if to.most != 1 || fine != whole {
				t.Errorf("%s each: %d at once, %d of 3 taken", took, to.most, fine)
			}
		})
	}
}
