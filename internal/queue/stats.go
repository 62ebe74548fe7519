package queue

import (
	"context"
	"errors"
	"slices"
	"strconv"
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
	Paused    bool // no worker takes its tasks
}

// Stats counts tasks. It removes workers from Redis that ended without saying so.
// Error: KindUnavailable.
func (q *Queue) Stats(ctx context.Context) (Stats, error) { return inspect(ctx, q, q.stats) }

// Sizes counts tasks, and changes nothing in Redis. Error: KindUnavailable.
func (q *Queue) Sizes(ctx context.Context) ([]QueueStats, error) {
	return inspect(ctx, q, func(context.Context) ([]QueueStats, error) { return q.sizes() })
}

// Workers counts the live processes that take tasks, and changes nothing in Redis.
// Error: KindUnavailable.
func (q *Queue) Workers(ctx context.Context) (int64, error) {
	// asynq's inspector removes dead ones. The scores are the times at which entries lapse.
	n, err := q.redis.ZCount(ctx, "asynq:servers", strconv.FormatInt(time.Now().Unix(), 10), "+inf").Result()
	return n, unavailable(err)
}

// inspect runs ask, which uses asynq's inspector, and waits for it no longer than ctx lasts. The
// inspector takes no context, so it is used only after Redis has answered a ping.
func inspect[T any](ctx context.Context, q *Queue, ask func(context.Context) (T, error)) (none T, err error) {
	if err := q.Ping(ctx); err != nil {
		return none, err
	}
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() { // ends with the client's own timeouts
		value, err := ask(ctx)
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, unavailable(a.err)
	case <-ctx.Done():
		return none, unavailable(ctx.Err())
	}
}

func (q *Queue) stats(ctx context.Context) (s Stats, err error) {
	if s.Queues, err = q.sizes(); err != nil {
		return s, err
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

func (q *Queue) sizes() ([]QueueStats, error) {
	known, err := q.inspector.Queues() // a queue exists only after its first task
	if err != nil {
		return nil, err
	}
	var queues []QueueStats
	for _, name := range []string{Build, Control} {
		info := &asynq.QueueInfo{}
		if slices.Contains(known, name) {
			if info, err = q.inspector.GetQueueInfo(name); err != nil {
				return nil, err
			}
		}
		queues = append(queues, QueueStats{
			Name: name,
			Sizes: map[string]int{
				"pending": info.Pending, "active": info.Active, "scheduled": info.Scheduled,
				"retry": info.Retry, "archived": info.Archived, "completed": info.Completed,
			},
			Latency: max(info.Latency, 0), Processed: int64(info.ProcessedTotal), Failed: int64(info.FailedTotal), Paused: info.Paused,
		})
	}
	return queues, nil
}
