package queue

import (
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
	// stopPatience is how long a server that stops waits for a Redis that does
	// not answer before it hangs up.
	stopPatience = 5 * time.Second
	// shutdownTimeout is long because asynq, when it is over, gives a task
	// away that is still running. Handlers end when they are told to.
	shutdownTimeout = time.Hour
)

// ServerConfig sizes a Server.
type ServerConfig struct {
	Slots int           // tasks handled at once
	Poll  time.Duration // how often an idle server looks for tasks; 250 ms when 0
}

// Handlers is what a Server does with tasks. Its errors are told apart by
// kind; see Recorded. Handlers must obey ctx, and may outlive it only if
// their owner waits for them.
type Handlers struct {
	Hour  func(ctx context.Context, t Task) error
	Sweep func(ctx context.Context) error
}

// Server takes tasks from Redis.
type Server struct {
	redis    redis.UniversalClient
	server   *asynq.Server
	handlers Handlers
	hangUp   context.CancelFunc
}

// NewServer makes a Server with connections of its own. It takes no task
// before Start.
func (q *Queue) NewServer(cfg ServerConfig, h Handlers, log *zap.Logger) *Server {
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	client := q.target.client(serverTries, cfg.Slots+10)
	ctx, cancel := context.WithCancel(context.Background())
	client.AddHook(hangUp{ctx})
	return &Server{redis: client, handlers: h, hangUp: cancel, server: asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency:              cfg.Slots,
		Queues:                   map[string]int{Build: 3, Control: 1},
		TaskCheckInterval:        cfg.Poll,
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
			return outcome(err)
		}
		return outcome(s.handlers.Hour(propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(task.Headers())), t))
	})
	mux.HandleFunc(TypeSweep, func(ctx context.Context, _ *asynq.Task) error { return outcome(s.handlers.Sweep(ctx)) })
	if err := s.server.Start(mux); err != nil {
		return domain.Wrap(domain.KindInternal, err, "start taking tasks")
	}
	return nil
}

// Stop takes no more tasks, waits until what the running ones became is
// written to Redis, and closes the connections. Running handlers must be told
// to end before. When Redis does not answer it gives up after five seconds:
// the catalog knows the rest.
func (s *Server) Stop() error {
	patience := time.AfterFunc(stopPatience, s.hangUp)
	s.server.Stop()
	s.server.Shutdown()
	patience.Stop()
	s.hangUp()
	return unavailable(s.redis.Close())
}
