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

// Worker takes tasks from the queue and builds their hours, and sweeps.
type Worker struct {
	cfg     Config
	queue   *queue.Queue
	builder Hours
	undo    Claims
	sweeper *Sweeper
	slots   chan struct{}
	log     *zap.Logger
	tracer  trace.Tracer
}

// Hours builds the hour of a task; see Builder.Hour.
type Hours interface {
	Hour(ctx context.Context, t queue.Task) error
}

// New makes a Worker. now is the process's clock, for durations only.
func New(cfg Config, q *queue.Queue, c Catalog, recordings Recordings, archives Archives, now func() time.Time, log *zap.Logger) *Worker {
	cfg = cfg.withDefaults()
	log = log.Named("worker")
	return &Worker{
		cfg: cfg, queue: q, undo: c, log: log,
		builder: NewBuilder(cfg, c, recordings, archives, now, log),
		sweeper: NewSweeper(cfg.Sweep, c, c, recordings, archives, log),
		slots:   make(chan struct{}, cfg.Slots),
		tracer:  telemetry.Tracer(cfg.Tracer),
	}
}

// Sweeper is the worker's own, to be asked for a sweep now.
func (w *Worker) Sweeper() *Sweeper { return w.sweeper }

// Run works until ctx is cancelled. Then running builds stop at a clean point
// and give their hours back, and Run returns when they all have.
func (w *Worker) Run(ctx context.Context) error {
	drain := newDrain(ctx)
	server := w.queue.NewServer(queue.ServerConfig{Slots: w.cfg.Slots, Poll: w.cfg.Poll}, queue.Handlers{
		Hour:  func(task context.Context, t queue.Task) error { return w.hour(task, drain, t) },
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
	drain.wait() // before the server stops, which writes what became of the tasks
	err := server.Stop()
	sweeping.Wait()
	w.log.Info("worker stopped")
	return err
}

// hour handles a task. From here on the catalog's claim decides who builds,
// not asynq's lease on the task: a Redis that is away for half a minute would
// else end every build. So the build lives until the drain, not until the
// task's context ends, and slots are counted here once more, because asynq
// gives the slot of a task away whose lease has lapsed.
func (w *Worker) hour(task context.Context, d *drain, t queue.Task) (err error) {
	task, span := w.begin(task, t)
	defer func() {
		telemetry.Failed(span, err)
		span.End()
	}()
	ctx, leave, ok := d.enter(context.WithoutCancel(task))
	if !ok {
		return w.refuse(task, t)
	}
	defer leave()
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return w.refuse(task, t)
	}
	defer func() { <-w.slots }()
	err = w.builder.Hour(ctx, t)
	var known *domain.Error
	if err != nil && !errors.As(err, &known) {
		w.log.Error("a task ended with an error of no kind", telemetry.In(ctx), zap.Error(err))
	}
	return err
}

// refuse gives back a task that came while the worker stops.
func (w *Worker) refuse(task context.Context, t queue.Task) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(task), tidyTimeout)
	defer cancel()
	if err := w.undo.Undispatched(ctx, t.Key, t.Dispatch); err != nil {
		w.log.Warn("a task could not be given back; its hour will be dispatched again", telemetry.In(ctx), zap.Error(err))
	}
	return domain.Errorf(domain.KindInterrupted, "the worker stops")
}

// drain counts running handlers and tells them when the process stops.
type drain struct {
	ctx context.Context //nolint:containedctx // the order to stop, for all handlers

	mu     sync.Mutex
	closed bool
	run    sync.WaitGroup
}

func newDrain(ctx context.Context) *drain { return &drain{ctx: ctx} }

// enter gives a handler its context. False: the process stops already.
func (d *drain) enter(ctx context.Context) (context.Context, func(), bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.ctx.Err() != nil {
		return ctx, nil, false
	}
	d.run.Add(1)
	ctx, unlink := link(ctx, d.ctx)
	return ctx, func() {
		unlink()
		d.run.Done()
	}, true
}

// wait lets nobody in any more and waits for those who are.
func (d *drain) wait() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.run.Wait()
}
