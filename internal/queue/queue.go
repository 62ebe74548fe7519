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
	// retention is how long finished tasks stay visible in the dashboard.
	retention = time.Hour
	// taskTimeout is a last bound: a build that makes no progress is ended by its worker long
	// before.
	taskTimeout = 24 * time.Hour
	// maxRetry is high, because asynq counts a killed worker as a retry.
	maxRetry = 25
)

// Queue enqueues hours and says what became of their tasks. It is safe for concurrent use.
type Queue struct {
	target    target
	redis     redis.UniversalClient
	inspector *asynq.Inspector

	mu     sync.Mutex
	client *asynq.Client // of this epoch
	epoch  string
}

// Connect makes a Queue. It sends nothing: Ping says whether Redis answers. Its error is
// KindInvalid, for a URL that can't be parsed.
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

// Close closes the connections. Servers made from the Queue have connections of their own.
func (q *Queue) Close() error { return q.redis.Close() }

// Redis gives the client, for rate limits and the dashboard.
func (q *Queue) Redis() redis.UniversalClient { return q.redis }

// Epoch gives the epoch of this Redis. It makes a new one where there is none, because Redis is
// new or has lost its data. Error: KindUnavailable.
func (q *Queue) Epoch(ctx context.Context) (string, error) {
	epoch, err := q.redis.Get(ctx, epochKey).Result()
	if errors.Is(err, redis.Nil) {
		if err = q.redis.SetNX(ctx, epochKey, rand.Text(), 0).Err(); err == nil {
			// It is read again, because another scheduler may have set it first.
			epoch, err = q.redis.Get(ctx, epochKey).Result()
		}
	}
	if err != nil {
		return "", unavailable(err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.epoch != epoch {
		// asynq's client remembers which queues it has registered in Redis. A new client registers
		// them again in a Redis that has lost them.
		q.epoch, q.client = epoch, asynq.NewClientFromRedisClient(q.redis)
	}
	return epoch, nil
}

func (q *Queue) asynq() *asynq.Client {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.client
}

// Enqueue makes the task of an hour's dispatch, with the trace of ctx. A task that exists already
// is no error. Error: KindUnavailable; the task may exist all the same.
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

// RequestSweep asks one worker to sweep now, instead of when its interval is over.
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
	Live State = "live" // waiting, running or waiting for a retry
	Gone State = "gone" // completed, archived, left by a worker that died, or not in Redis
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
		return q.activeState(key, info.ID)
	}
	return Live, nil
}

// activeState says whether the worker that began a task is still alive. asynq itself enqueues the
// task of a dead worker again only after about a minute.
func (q *Queue) activeState(key domain.HourKey, id string) (State, error) {
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
