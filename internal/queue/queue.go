package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/propagation"

	"github.com/callvault/callvault/internal/domain"
)

const (
	epochKey = "callvault:epoch"
	// retention keeps finished tasks visible for a while.
	retention = time.Hour
	// taskTimeout only bounds what nobody else ended; a build has a watchdog.
	taskTimeout = 24 * time.Hour
	// maxRetry is generous: a worker that is killed counts as a retry.
	maxRetry = 25
)

// Queue enqueues hours and knows what became of them. It is safe for
// concurrent use.
type Queue struct {
	target    target
	redis     redis.UniversalClient
	inspector *asynq.Inspector

	mu     sync.Mutex
	client *asynq.Client // of this epoch
	epoch  string
}

// Connect makes a Queue. It sends nothing yet: use Ping to see whether Redis
// answers. Its error is KindInvalid, for a URL that can't be read.
func Connect(redisURL string) (*Queue, error) {
	t, err := parseURL(redisURL)
	if err != nil {
		return nil, err
	}
	client := t.client(clientTries, clientPool)
	return &Queue{
		target: t, redis: client,
		inspector: asynq.NewInspectorFromRedisClient(client),
		client:    asynq.NewClientFromRedisClient(client),
	}, nil
}

// Close closes the connections. Servers made of the Queue have their own.
func (q *Queue) Close() error { return q.redis.Close() }

// Redis is the connection, for the parts that keep other things there (rate
// limits, the dashboard).
func (q *Queue) Redis() redis.UniversalClient { return q.redis }

// Epoch names the life of this Redis: it makes a new name when there is none,
// because Redis is new or has lost everything. Error: KindUnavailable.
func (q *Queue) Epoch(ctx context.Context) (string, error) {
	epoch, err := q.redis.Get(ctx, epochKey).Result()
	if errors.Is(err, redis.Nil) {
		if err = q.redis.SetNX(ctx, epochKey, rand.Text(), 0).Err(); err == nil {
			// Read again: another scheduler may have been faster.
			epoch, err = q.redis.Get(ctx, epochKey).Result()
		}
	}
	if err != nil {
		return "", unavailable(err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.epoch != epoch {
		// asynq's client remembers that it has announced a queue, and would
		// not announce it again to a Redis that has lost it.
		q.epoch, q.client = epoch, asynq.NewClientFromRedisClient(q.redis)
	}
	return epoch, nil
}

func (q *Queue) asynq() *asynq.Client {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.client
}

// Enqueue hands an hour's dispatch to the workers, with the trace that ctx
// carries. One that is there already is fine. Error: KindUnavailable, after
// which the task may be there or not.
func (q *Queue) Enqueue(ctx context.Context, key domain.HourKey, dispatch int64) error {
	t := Task{Key: key, Dispatch: dispatch}
	body, err := t.encode()
	if err != nil {
		return domain.Wrap(domain.KindInvalid, err, "enqueue %s", key)
	}
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	_, err = q.asynq().EnqueueContext(ctx, asynq.NewTaskWithHeaders(TypeHour, body, headers),
		asynq.Queue(Build), asynq.TaskID(t.ID()), asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout), asynq.Retention(retention))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return domain.Wrap(domain.KindUnavailable, err, "enqueue %s", key)
	}
	return nil
}

// RequestSweep asks one worker to sweep now instead of at its next turn.
// Error: KindUnavailable.
func (q *Queue) RequestSweep(ctx context.Context) error {
	_, err := q.asynq().EnqueueContext(ctx, asynq.NewTask(TypeSweep, nil),
		asynq.Queue(Control), asynq.TaskID("sweep"), asynq.MaxRetry(0), asynq.Timeout(time.Minute))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return unavailable(err)
}

// State says what became of a dispatch.
type State string

// States of a dispatch.
const (
	Live State = "live" // waiting, running or waiting for another try
	Gone State = "gone" // completed, archived, left by a worker that died, or not in Redis at all
)

// State looks a dispatch up. Error: KindUnavailable.
func (q *Queue) State(ctx context.Context, key domain.HourKey, dispatch int64) (State, error) {
	if err := ctx.Err(); err != nil { // asynq's inspector takes no context
		return "", err
	}
	info, err := q.inspector.GetTaskInfo(Build, Task{Key: key, Dispatch: dispatch}.ID())
	switch {
	case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		return Gone, nil
	case err != nil:
		return "", domain.Wrap(domain.KindUnavailable, err, "look up the task of %s", key)
	case info.State == asynq.TaskStateArchived, info.State == asynq.TaskStateCompleted:
		return Gone, nil
	case info.State == asynq.TaskStateActive:
		return q.running(key, info.ID)
	}
	return Live, nil
}

// running says whether a worker still holds a task that was begun. asynq itself puts one that a dead
// worker left back into the queue after about a minute.
func (q *Queue) running(key domain.HourKey, id string) (State, error) {
	const page = 1000
	for n := 1; ; n++ {
		tasks, err := q.inspector.ListActiveTasks(Build, asynq.PageSize(page), asynq.Page(n))
		if err != nil {
			return "", domain.Wrap(domain.KindUnavailable, err, "look up the running tasks for %s", key)
		}
		for _, t := range tasks {
			if t.ID == id && t.IsOrphaned {
				return Gone, nil
			}
		}
		if len(tasks) < page {
			return Live, nil
		}
	}
}

// Slots is how many hours all live workers together can build at once.
// Error: KindUnavailable.
func (q *Queue) Slots(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	servers, err := q.inspector.Servers()
	if err != nil {
		return 0, unavailable(err)
	}
	slots := 0
	for _, s := range servers {
		if s.Queues[Build] > 0 && s.Status == "active" {
			slots += s.Concurrency
		}
	}
	return slots, nil
}
