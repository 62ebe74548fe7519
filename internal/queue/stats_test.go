package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

// TestStats counts on a real Redis and on the embedded one, which does not know its memory.
func TestStats(t *testing.T) {
	embedded := miniredis.RunT(t)
	for name, url := range map[string]string{"redis": testenv.Redis(t), "embedded": "redis://" + embedded.Addr() + "/0"} {
		t.Run(name, func(t *testing.T) {
			q := connect(t, url)
			s, err := q.Stats(t.Context())
			must(t, err)
			if len(s.Queues) != 2 || s.Queues[0].Sizes["pending"] != 0 || s.Slots != 0 {
				t.Errorf("a new Redis gave %+v", s)
			}
			began := time.Now()
			for hour := range 3 {
				must(t, q.Enqueue(t.Context(), domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: hour}, 1))
			}
			s, err = q.Stats(t.Context())
			must(t, err)
			build := s.Queues[0]
			if build.Name != queue.Build || build.Sizes["pending"] != 3 || build.Latency < 0 || build.Latency > time.Since(began)+time.Second {
				t.Errorf("three tasks gave %+v", build)
			}
			serve(t, q, 2, queue.Handlers{Hour: func(_ context.Context, task queue.Task) error {
				if task.Key.Hour == 1 {
					return queue.Recorded(domain.Errorf(domain.KindStalled, "no byte came"))
				}
				return nil
			}})
			testenv.Until(t, "all tasks are counted as done", func() bool {
				s, err = q.Stats(t.Context())
				must(t, err)
				b := s.Queues[0]
				return b.Processed == 3 && b.Failed == 1 && b.Sizes["completed"] == 2 && b.Sizes["archived"] == 1 && s.Slots == 2
			})
			if known := s.Memory != nil && s.Memory.Used > 0; known != (name == "redis") {
				t.Errorf("memory %+v", s.Memory)
			}
		})
	}
}

// Stats does not wait longer than its context allows.
func TestStatsWithoutRedis(t *testing.T) {
	silent := testenv.NewRedis(t)
	q := connect(t, silent.URL())
	_, err := q.Stats(t.Context())
	must(t, err)
	silent.Pause()
	defer silent.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := q.Stats(ctx); domain.KindOf(err) != domain.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("its time does not end it: %v", err)
	}
}
