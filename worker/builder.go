package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	// maxBuildTime bounds a whole build, readTimeout the reading of what it holds.
	maxBuildTime = 24 * time.Hour
	readTimeout  = 5 * time.Minute
	// reportTimeout bounds telling the catalog how a build ended. What it does
	// not hear, it learns from the lease that lapses.
	reportTimeout = 30 * time.Second
)

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

// Hour builds the hour of a task, if it is due and nobody else does. When ctx
// is cancelled the build stops where it is and gives the hour back, but one
// whose bytes are all written is still published.
//
// Errors: KindInterrupted after a drain, KindUnavailable when the catalog
// could not be asked, and failures that the catalog has counted, marked by
// queue.Recorded.
func (b *Builder) BuildHour(ctx context.Context, t queue.Task) error {
	ctx = withTask(ctx, t)
	claim, ok, err := b.claim(ctx, t)
	if err != nil || !ok {
		return err
	}
	log := b.log.With(telemetry.In(ctx), zap.Int64("revision", claim.Revision))
	last, leave := withGrace(ctx, ctx, b.cfg.publishTime())
	defer leave()
	held, release := b.keepLease(last, claim, log)
	started := b.now()
	built, err := b.build(ctx, held, last, claim, log)
	lost := context.Cause(held)
	release()
	if err != nil && lost != nil { // a claim ends with its own commit, too
		err = lost
	}
	if err == nil {
		logMissing(log, built.Missing)
	}
	return b.report(ctx, claim, log, err, Outcome{
		Key: t.Key, Took: b.now().Sub(started), Size: built.Size, Files: built.Files, Missing: len(built.Missing),
	})
}

// claim takes the hour, or says that the dispatch came to nothing. It is not
// cut short by a drain: a claim of which nobody knows keeps its hour from
// everybody until it lapses.
func (b *Builder) claim(ctx context.Context, t queue.Task) (catalog.Claim, bool, error) {
	ctx, leave := withGrace(ctx, ctx, b.cfg.reportTime())
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var claim catalog.Claim
	var ok bool
	err := b.step(ctx, "claim hour", func(ctx context.Context, span trace.Span) (err error) {
		claim, ok, err = b.catalog.Claim(ctx, t.Key, b.cfg.Name)
		span.SetAttributes(attribute.Bool("callvault.claimed", ok))
		if err == nil && !ok {
			err = b.catalog.Undispatched(ctx, t.Key, t.Dispatch)
		}
		return err
	})
	return claim, ok, err
}

// build makes and publishes the archive. drain ends with the process's order
// to stop, held with the claim, last with the time that is left after the order.
func (b *Builder) build(drain, held, last context.Context, c catalog.Claim, log *zap.Logger) (catalog.BuildResult, error) {
	work, unlink := cancelWith(held, drain)
	defer unlink()
	work, cancel := context.WithTimeout(work, maxBuildTime)
	defer cancel()
	started := b.now()
	in, err := b.input(work, c)
	if err != nil {
		return catalog.BuildResult{}, err
	}
	if len(in.Recordings) == 0 {
		return catalog.BuildResult{}, b.step(work, "commit empty hour", func(ctx context.Context, _ trace.Span) error {
			return b.catalog.CommitEmpty(ctx, c, in.Wanted)
		})
	}
	entries, src, err := b.entries(work, c, in.Recordings)
	if err != nil {
		return catalog.BuildResult{}, err
	}
	in.Recordings = nil // its strings live on in the entries; the rest need not
	leave, err := b.admit(work, entries)
	if err != nil {
		return catalog.BuildResult{}, err
	}
	defer leave()
	if err := b.catalog.StartArchive(work, c); err != nil {
		return catalog.BuildResult{}, err
	}
	result, etag, err := b.write(drain, held, work, c, entries, src, log)
	if err != nil {
		return catalog.BuildResult{}, err
	}
	built := catalog.BuildResult{
		Wanted: in.Wanted, Size: result.Size, Files: result.Files, Sessions: result.Sessions, Missing: missingOf(result.Missing),
		ManifestSHA256: result.ManifestSHA256, ETag: etag, Took: b.now().Sub(started),
	}
	return built, b.step(last, "commit archive", func(ctx context.Context, _ trace.Span) error { return b.commit(drain, ctx, c, built, log) })
}

// write reads the entries and stores the archive of them. work ends with the build, held with the
// claim, drain with the order to stop.
func (b *Builder) write(drain, held, work context.Context, c catalog.Claim, entries []archiver.Entry, src *source, log *zap.Logger) (
	result archiver.Result, etag string, err error) {
	fetch := &fetchSpan{tracer: b.tracer, now: b.now, ctx: work}
	s := &sink{Builder: b, drain: drain, claim: c, key: c.ObjectKey(), log: log, span: uploadSpan{tracer: b.tracer}}
	defer func() { s.span.end(err) }()
	hour := archiver.Hour{Day: string(c.Day), Hour: c.Hour, GeneratedAt: c.At}
	result, err = archiver.Build(work, b.cfg.Archive, hour, entries, fetch.trace(src.open), s)
	fetch.end()
	if err == nil {
		etag, err = s.finish(s.span.context(held), result)
	}
	if err != nil {
		s.abort(held)
	}
	return result, etag, err
}

func (b *Builder) input(ctx context.Context, c catalog.Claim) (in catalog.BuildInput, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = b.step(ctx, "read hour", func(ctx context.Context, span trace.Span) error {
		in, err = b.catalog.BuildInput(ctx, c)
		span.SetAttributes(attribute.Int("callvault.recordings", len(in.Recordings)))
		return err
	})
	return in, err
}

// admit waits until the build's buffers fit beside those of the others. One
// that is larger than all there is takes all.
func (b *Builder) admit(ctx context.Context, entries []archiver.Entry) (leave func(), err error) {
	bytes := min(archiver.Memory(b.cfg.Archive, entries), b.cfg.Memory)
	err = b.step(ctx, "wait for memory", func(ctx context.Context, span trace.Span) error {
		span.SetAttributes(attribute.Int64("callvault.bytes", bytes))
		if err := b.memory.Acquire(ctx, bytes); err != nil {
			return context.Cause(ctx)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func() { b.memory.Release(bytes) }, nil
}

// commit publishes a stored archive. After an unclear answer it asks what
// stands: a second commit is refused by the claim's token, so nothing is ever
// published twice. Its context does not end with the claim: a commit that came through ends that.
func (b *Builder) commit(drain, ctx context.Context, c catalog.Claim, built catalog.BuildResult, log *zap.Logger) error {
	since, unclear := b.now(), false
	for try := 1; ; try++ {
		err := b.tryCommit(ctx, c, built)
		if err == nil || domain.KindOf(err) == domain.KindLost && !unclear {
			return err
		}
		served, asked := b.published(ctx, c)
		if asked == nil && served {
			return nil
		}
		if asked == nil && !retryable(err) {
			return err
		}
		unclear = true
		if !b.backoff(ctx, try, since, b.giveUpAfter(drain)) {
			return err
		}
		log.Warn("it is not clear yet whether the archive is published", zap.Error(errors.Join(err, asked)))
	}
}

func (b *Builder) tryCommit(ctx context.Context, c catalog.Claim, built catalog.BuildResult) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	return b.catalog.Commit(ctx, c, built)
}

func (b *Builder) published(ctx context.Context, c catalog.Claim) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	return b.catalog.Published(ctx, c)
}

// passing says whether trying again can help.
func retryable(err error) bool {
	return domain.KindOf(err) == domain.KindUnavailable || errors.Is(err, context.DeadlineExceeded)
}

// patience is how long an unclear answer is asked for again: not for long when
// the process stops.
func (b *Builder) giveUpAfter(drain context.Context) time.Duration {
	if drain.Err() != nil {
		return min(reportTimeout, b.cfg.GiveUp)
	}
	return b.cfg.GiveUp
}

// settle tells the catalog how a build ended and gives the task's error.
func (b *Builder) report(ctx context.Context, c catalog.Claim, log *zap.Logger, err error, e Outcome) error {
	tell, leave := withGrace(ctx, ctx, b.cfg.reportTime())
	defer leave()
	tell, cancel := context.WithTimeout(tell, reportTimeout)
	defer cancel()
	e.Kind = domain.KindOf(err)
	defer func() {
		setOutcome(ctx, e, c.Revision)
		b.cfg.OnBuild(e)
	}()
	switch {
	case err == nil:
		log.Info("hour archived", zap.Int64("bytes", e.Size), zap.Int("files", e.Files), zap.Int("missing", e.Missing), zap.Duration("took", e.Took))
		return nil
	case domain.KindOf(err) == domain.KindLost:
		log.Warn("the claim was lost; whoever has it now decides", zap.Error(err))
		return err
	case ctx.Err() != nil:
		e.Kind = domain.KindInterrupted
		log.Info("build stopped; its hour is given back")
		b.retryReport(tell, log, func() error { return b.catalog.Release(tell, c) })
		return errDrain(ctx)
	}
	f := failureOf(err)
	e.Kind = f.Kind
	logMissing(log, f.Missing)
	log.Warn("build failed", zap.String("kind", string(f.Kind)), zap.Bool("final", f.Final), zap.Error(err))
	b.retryReport(tell, log, func() error { return b.catalog.Fail(tell, c, f) })
	return queue.Recorded(domain.Wrap(f.Kind, err, "%s", f.Message))
}

// persist repeats what tells the catalog while it is away. Repeating is
// harmless: the token is gone after the first that came through.
func (b *Builder) retryReport(ctx context.Context, log *zap.Logger, tell func() error) {
	since := b.now()
	for try := 1; ; try++ {
		err := tell()
		if err == nil || domain.KindOf(err) == domain.KindLost {
			return
		}
		if !b.backoff(ctx, try, since, reportTimeout) {
			log.Warn("the catalog was not told how the build ended; the claim will lapse", zap.Error(err))
			return
		}
	}
}

// errDrain is why a build or a task ends when the process stops.
func errDrain(ctx context.Context) error {
	return domain.Wrap(domain.KindInterrupted, context.Cause(ctx), "the worker stops")
}
