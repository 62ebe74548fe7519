package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

// Worker takes tasks from the queue and builds their hours. It also runs a sweeper.
type Worker struct {
	cfg     Config
	queue   *queue.Queue
	builder *Builder
	sweeper Sweeper
	slots   chan struct{}
	log     *zap.Logger
	tracer  trace.Tracer
}

// New makes a Worker. now is the process's clock, for durations only.
func New(cfg Config, q *queue.Queue, c Builds, recordings Recordings, archives Archives, sweeper Sweeper, now func() time.Time, log *zap.Logger) *Worker {
	cfg = cfg.withDefaults()
	log = log.Named("worker")
	return &Worker{
		cfg: cfg, queue: q, log: log,
		builder: NewBuilder(cfg, c, recordings, archives, now, log),
		sweeper: sweeper,
		tracer:  telemetry.Tracer(cfg.Tracer),
	}
}

// Run works until ctx is cancelled. Then running builds stop and give their hours back, and Run
// returns when all of them have ended.
func (w *Worker) Run(ctx context.Context) error {
	w.slots = make(chan struct{}, w.cfg.Slots)
	server := w.queue.NewServer(queue.ServerConfig{Slots: w.cfg.Slots, Poll: w.cfg.Poll}, queue.Handlers{
		Hour:  func(task context.Context, t queue.Task) error { return w.hour(task, ctx, t) },
		Sweep: func(context.Context) error { w.sweeper.Wake(); return nil },
	}, w.log)
	if err := server.Start(); err != nil {
		return err
	}
	w.log.Info("worker takes hours", zap.Int("slots", w.cfg.Slots), zap.Int64("memory", w.cfg.Memory))
	var sweeping sync.WaitGroup
	sweeping.Go(func() { w.sweeper.Run(ctx) })
	<-ctx.Done()
	w.log.Info("worker stops; running builds give their hours back")
	for range cap(w.slots) { // wait for running builds; the server then writes the outcome of their tasks
		w.slots <- struct{}{}
	}
	err := server.Stop()
	sweeping.Wait()
	w.log.Info("worker stopped")
	return err
}

// hour handles a task. The catalog's claim decides who builds, not asynq's lease on the task:
// otherwise an outage of Redis of half a minute would end every build. So a build ends with the
// order to stop, and not with the context of its task. Slots are counted here too, because asynq
// frees the slot of a task whose lease has lapsed.
func (w *Worker) hour(task, stop context.Context, t queue.Task) (err error) {
	task, span := w.begin(task, t)
	defer func() {
		telemetry.Failed(span, err)
		span.End()
	}()
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-stop.Done():
	}
	if stop.Err() != nil {
		return w.refuse(task, t)
	}
	ctx, end := cancelWith(context.WithoutCancel(task), stop)
	defer end()
	err = w.builder.BuildHour(ctx, t)
	var known *domain.Error
	if err != nil && !errors.As(err, &known) {
		w.log.Error("a task ended with an error of no kind", telemetry.In(ctx), zap.Error(err))
	}
	return err
}

// refuse gives back a task that arrives while the worker stops.
func (w *Worker) refuse(task context.Context, t queue.Task) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(task), cleanupTimeout)
	defer cancel()
	if err := w.builder.catalog.Undispatched(ctx, t.Key, t.Dispatch); err != nil {
		w.log.Warn("a task could not be given back; its hour will be dispatched again", telemetry.In(ctx), zap.Error(err))
	}
	return domain.Errorf(domain.KindInterrupted, "the worker stops")
}
