package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Stats is the state of the queues.
type Stats struct {
	Queues []QueueStats
	Slots  int     // how many hours all live workers together can build at once
	Memory *Memory // nil where Redis does not say
}

// QueueStats is one queue in numbers.
type QueueStats struct {
	Name      string
	Sizes     map[string]int // tasks by asynq's state
	Latency   time.Duration  // how long the oldest pending task waits
	Processed int64          // tasks that ended, in all of this Redis's time; failed ones included
	Failed    int64
}

// Stats counts tasks. Error: KindUnavailable.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	// asynq's inspector takes no context. It is called only after Redis has answered a ping, and
	// the wait for it ends with ctx.
	if err := q.Ping(ctx); err != nil {
		return Stats{}, err
	}
	type answer struct {
		stats Stats
		err   error
	}
	done := make(chan answer, 1)
	go func() { // ends with the client's own timeouts
		s, err := q.stats(ctx)
		done <- answer{s, err}
	}()
	select {
	case a := <-done:
		return a.stats, unavailable(a.err)
	case <-ctx.Done():
		return Stats{}, unavailable(ctx.Err())
	}
}

func (q *Queue) stats(ctx context.Context) (s Stats, err error) {
	known, err := q.inspector.Queues() // a queue exists only after its first task
	if err != nil {
		return s, err
	}
	for _, name := range []string{Build, Control} {
		info := &asynq.QueueInfo{}
		if slices.Contains(known, name) {
			if info, err = q.inspector.GetQueueInfo(name); err != nil {
				return s, err
			}
		}
		s.Queues = append(s.Queues, QueueStats{
			Name: name,
			Sizes: map[string]int{
				"pending": info.Pending, "active": info.Active, "scheduled": info.Scheduled,
				"retry": info.Retry, "archived": info.Archived, "completed": info.Completed,
			},
			Latency: max(info.Latency, 0), Processed: int64(info.ProcessedTotal), Failed: int64(info.FailedTotal),
		})
	}
	if s.Slots, err = q.Slots(ctx); err != nil {
		return s, err
	}
	memory, err := q.Memory(ctx)
	var refused redis.Error // Redis answers, but does not know this command
	if errors.As(err, &refused) {
		return s, nil
	}
	s.Memory = &memory
	return s, err
}
