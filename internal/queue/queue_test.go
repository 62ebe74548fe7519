package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

func connect(t *testing.T, url string) *queue.Queue {
	t.Helper()
	q, err := queue.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, q *queue.Queue, slots int, h queue.Handlers) {
	t.Helper()
	s := q.NewServer(queue.ServerConfig{Slots: slots, Poll: 20 * time.Millisecond}, h, zaptest.NewLogger(t))
	must(t, s.Start())
	t.Cleanup(func() { must(t, s.Stop()) })
}

func expectState(t *testing.T, q *queue.Queue, key domain.HourKey, dispatch int64, want queue.State) {
	t.Helper()
	got, err := q.State(t.Context(), key, dispatch)
	if err != nil || got != want {
		t.Fatalf("dispatch %d is %q (%v), want %q", dispatch, got, err, want)
	}
}

func TestLifeOfADispatch(t *testing.T) {
	q := connect(t, testenv.Redis(t))
	ctx := t.Context()
	must(t, q.Ping(ctx))
	memory, err := q.Memory(ctx)
	must(t, err)
	must(t, memory.Check())
	if memory.Used == 0 || memory.Policy != "noeviction" {
		t.Errorf("memory %+v", memory)
	}
	done := domain.HourKey{Tenant: "acme-1", Day: "2025-12-12", Hour: 0}
	broken := domain.HourKey{Tenant: "acme-1", Day: "2025-12-12", Hour: 1}
	drained := domain.HourKey{Tenant: "acme-1", Day: "2025-12-12", Hour: 2}
	expectState(t, q, done, 1, queue.Gone) // before the queue was ever used
	for _, key := range []domain.HourKey{done, broken, drained, done} {
		must(t, q.Enqueue(ctx, key, 1))
	}
	expectState(t, q, done, 1, queue.Live)
	expectState(t, q, done, 2, queue.Gone)
	if slots, err := q.Slots(ctx); err != nil || slots != 0 {
		t.Errorf("slots without workers: %d, %v", slots, err)
	}

	var mu sync.Mutex
	ran := map[domain.HourKey]int{}
	swept := make(chan struct{}, 1)
	serve(t, q, 3, queue.Handlers{
		Hour: func(_ context.Context, task queue.Task) error {
			mu.Lock()
			defer mu.Unlock()
			ran[task.Key]++
			switch task.Key {
			case broken:
				return queue.Recorded(errors.New("no luck"))
			case drained:
				return domain.Errorf(domain.KindInterrupted, "stopping")
			}
			return nil
		},
		Sweep: func(context.Context) error { swept <- struct{}{}; return nil },
	})
	for _, key := range []domain.HourKey{done, broken, drained} {
		testenv.Until(t, "gone "+key.String(), func() bool {
			state, err := q.State(ctx, key, 1)
			return err == nil && state == queue.Gone
		})
	}
	must(t, q.RequestSweep(ctx))
	<-swept
	testenv.Until(t, "slots", func() bool { slots, err := q.Slots(ctx); return err == nil && slots == 3 })
	// A finished id stays taken: a second run needs another number.
	must(t, q.Enqueue(ctx, done, 1))
	must(t, q.Enqueue(ctx, done, 2))
	testenv.Until(t, "second dispatch", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return ran[done] == 2
	})
	mu.Lock()
	defer mu.Unlock()
	if ran[done] != 2 || ran[broken] != 1 || ran[drained] != 1 {
		t.Errorf("runs: %v", ran)
	}
}

// Redis loses all data while the same processes go on.
func TestLostRedis(t *testing.T) {
	server := testenv.NewRedis(t)
	q := connect(t, server.URL())
	twin := connect(t, server.URL())
	ctx := t.Context()
	before, err := q.Epoch(ctx)
	must(t, err)
	same, err := twin.Epoch(ctx)
	must(t, err)
	if before == "" || same != before {
		t.Fatalf("two schedulers see epochs %q and %q", before, same)
	}
	key := domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 4}
	must(t, q.Enqueue(ctx, key, 1))
	must(t, twin.Enqueue(ctx, key, 1))
	expectState(t, twin, key, 1, queue.Live)

	server.Flush()
	expectState(t, q, key, 1, queue.Gone)
	after, err := q.Epoch(ctx)
	must(t, err)
	if after == before {
		t.Fatal("the loss went unnoticed")
	}
	must(t, q.Enqueue(ctx, key, 2))
	expectState(t, q, key, 2, queue.Live) // the queue is registered again
	expectState(t, twin, key, 2, queue.Live)

	server.Stop()
	if err := q.Enqueue(ctx, key, 3); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("enqueue without Redis: %v", err)
	}
	if _, err := q.Epoch(ctx); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("epoch without Redis: %v", err)
	}
	if _, err := q.State(ctx, key, 2); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("state without Redis: %v", err)
	}
	server.Start()
	testenv.Until(t, "Redis is back", func() bool { return q.Ping(ctx) == nil })
	// Redis may have lost its last second, so either epoch of that time is right.
	if back, err := q.Epoch(ctx); err != nil || back == before {
		t.Errorf("epoch after a restart: %q, %v", back, err)
	}
	must(t, q.Enqueue(ctx, key, 3))
	expectState(t, q, key, 3, queue.Live)
}

// A worker dies with a task that it had begun. The task counts as gone once its lease has lapsed,
// before asynq itself notices.
func TestLeftByADeadWorker(t *testing.T) {
	url := testenv.Redis(t)
	q := connect(t, url)
	opts, err := redis.ParseURL(url)
	must(t, err)
	raw := redis.NewClient(opts)
	t.Cleanup(func() { must(t, raw.Close()) })
	left := domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 5}
	held := domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 6}
	begun, end := make(chan struct{}, 2), make(chan struct{})
	serve(t, q, 2, queue.Handlers{Hour: func(context.Context, queue.Task) error {
		begun <- struct{}{}
		<-end
		return nil
	}})
	t.Cleanup(func() { close(end) })
	for _, key := range []domain.HourKey{left, held} {
		must(t, q.Enqueue(t.Context(), key, 1))
		<-begun
		expectState(t, q, key, 1, queue.Live)
	}
	// This is the state half a minute after a kill: the task is active, its lease has lapsed.
	lapsed := redis.Z{Score: float64(time.Now().Add(-time.Second).Unix()), Member: queue.Task{Key: left, Dispatch: 1}.ID()}
	must(t, raw.ZAddXX(t.Context(), "asynq:{"+queue.Build+"}:lease", lapsed).Err())
	expectState(t, q, left, 1, queue.Gone)
	expectState(t, q, held, 1, queue.Live)
}

// A server stops also when Redis has stopped before it.
func TestStopWithoutRedis(t *testing.T) {
	redis := testenv.NewRedis(t)
	q := connect(t, redis.URL())
	s := q.NewServer(queue.ServerConfig{Slots: 1}, queue.Handlers{}, zaptest.NewLogger(t))
	must(t, s.Start())
	redis.Stop()
	must(t, s.Stop())
}
