package queue

import (
	"cmp"
	"context"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
)

const (
	defaultPoll = 250 * time.Millisecond
	// stopTimeout is how long a stopping server waits for a Redis that does not answer.
	stopTimeout = 5 * time.Second
	// shutdownTimeout is long, because asynq enqueues running tasks again when it is over.
	// Handlers end when the worker tells them to.
	shutdownTimeout = time.Hour
)

// ServerConfig sizes a Server.
type ServerConfig struct {
	Slots int           // tasks handled at once
	Poll  time.Duration // how often an idle server looks for tasks; 250 ms when 0
}

// Handlers is what a Server does with tasks. The kind of a handler's error decides what becomes of
// the task; see also Recorded. Handlers must obey ctx, and may outlive it only if their owner
// waits for them.
type Handlers struct {
	Hour  func(ctx context.Context, t Task) error
	Sweep func(ctx context.Context) error
}

// Server takes tasks from Redis.
type Server struct {
	redis          redis.UniversalClient
	server         *asynq.Server
	handlers       Handlers
	cancelCommands context.CancelFunc
}

// NewServer makes a Server with connections of its own. It takes no task before Start.
func (q *Queue) NewServer(cfg ServerConfig, h Handlers, log *zap.Logger) *Server {
	client := q.target.client(serverTries, cfg.Slots+10)
	ctx, cancel := context.WithCancel(context.Background())
	client.AddHook(cancelHook{ctx})
	return &Server{redis: client, handlers: h, cancelCommands: cancel, server: asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency:              cfg.Slots,
		Queues:                   map[string]int{Build: 3, Control: 1},
		TaskCheckInterval:        cmp.Or(cfg.Poll, defaultPoll),
		DelayedTaskCheckInterval: time.Second,
		RetryDelayFunc:           retryDelay,
		ShutdownTimeout:          shutdownTimeout,
		Logger:                   log.Named("asynq").WithOptions(zap.AddCallerSkip(1)).Sugar(),
		LogLevel:                 asynq.WarnLevel,
	})}
}

// Start begins to take tasks. It succeeds while Redis is down.
func (s *Server) Start() error {
	mux := asynq.NewServeMux()
	mux.HandleFunc(TypeHour, func(ctx context.Context, task *asynq.Task) error {
		t, err := decodeTask(task.Payload())
		if err != nil {
			return asynqError(err)
		}
		return asynqError(s.handlers.Hour(propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(task.Headers())), t))
	})
	mux.HandleFunc(TypeSweep, func(ctx context.Context, _ *asynq.Task) error { return asynqError(s.handlers.Sweep(ctx)) })
	if err := s.server.Start(mux); err != nil {
		return domain.Wrap(domain.KindInternal, err, "start taking tasks")
	}
	return nil
}

// Stop takes no more tasks, waits until the outcome of running ones is written to Redis, and
// closes the connections. Running handlers must be told to end before. When Redis does not answer,
// Stop gives up after stopTimeout: the catalog knows what was done.
func (s *Server) Stop() error {
	timeout := time.AfterFunc(stopTimeout, s.cancelCommands)
	s.server.Stop()
	s.server.Shutdown()
	timeout.Stop()
	s.cancelCommands()
	return unavailable(s.redis.Close())
}
