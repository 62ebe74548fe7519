package worker

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

// catalogTimeout bounds calls to the catalog that the order to stop does not end at once.
const catalogTimeout = 30 * time.Second

// Builder builds one hour at a time per call. It is safe for concurrent use.
type Builder struct {
	cfg        Config
	catalog    Builds
	recordings Recordings
	archives   Archives
	memory     *semaphore.Weighted
	lastRead   atomic.Pointer[string] // see source.lastRead
	now        func() time.Time
	log        *zap.Logger
	tracer     trace.Tracer
}

// NewBuilder makes a Builder. now is the process's clock, for durations only.
func NewBuilder(cfg Config, c Builds, recordings Recordings, archives Archives, now func() time.Time, log *zap.Logger) *Builder {
	cfg = cfg.withDefaults()
	return &Builder{
		cfg: cfg, catalog: c, recordings: recordings, archives: archives,
		memory: semaphore.NewWeighted(cfg.Memory), now: now, log: log.Named("build"), tracer: telemetry.Tracer(cfg.Tracer),
	}
}

// BuildHour builds the hour of a task, if it is due and no other builder has it. When ctx ends the
// build stops and gives the hour back. An archive whose bytes are all written is still published.
//
// Errors: KindInterrupted after ctx has ended, KindUnavailable when the catalog could not be
// asked, and failures that the catalog has counted, marked by queue.Recorded.
func (b *Builder) BuildHour(ctx context.Context, t queue.Task) error {
	ctx = withTask(ctx, t)
	claim, ok, err := b.claim(ctx, t)
	if err != nil || !ok {
		return err
	}
	build, end := b.begin(ctx, claim)
	result, err := build.run()
	if lost := end(); err != nil && lost != nil { // after a successful commit the claim is gone too
		err = lost
	}
	return build.report(result, err)
}

// claim claims the hour, or tells the catalog that the dispatch had nothing to do. The order to
// stop does not end it at once: an hour whose claim was made but not heard of is blocked until the
// lease lapses.
func (b *Builder) claim(stop context.Context, t queue.Task) (claim catalog.Claim, ok bool, err error) {
	ctx, end := withGrace(stop, b.cfg.reportTime(), catalogTimeout)
	defer end()
	err = b.step(ctx, "claim hour", func(ctx context.Context, span trace.Span) (err error) {
		claim, ok, err = b.catalog.Claim(ctx, t.Key, b.cfg.Name)
		span.SetAttributes(attribute.Bool("callvault.claimed", ok))
		if err == nil && !ok {
			err = b.catalog.Undispatched(ctx, t.Key, t.Dispatch)
		}
		return err
	})
	return claim, ok, err
}
