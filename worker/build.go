package worker

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	maxBuildTime = 24 * time.Hour
	readTimeout  = 5 * time.Minute // bounds reading the hour's recordings from the catalog
)

// build is the build of one claimed hour, with a context for each of its lifetimes.
type build struct {
	*Builder
	claim   catalog.Claim
	lock    objstore.Lock // of the archive's object
	former  *former       // the archive that the hour does not serve any more; nil for none
	log     *zap.Logger
	started time.Time

	stop  context.Context // the caller's; ends with the order to stop
	grace context.Context // ends Config.publishTime later than stop; the archive is published in it
	lease context.Context // ends with grace, or when the claim is lost
	work  context.Context // ends with lease, or with stop
}

// begin begins a build. The returned function ends its contexts, and gives the reason if the lease
// had ended before.
func (b *Builder) begin(stop context.Context, c catalog.Claim) (h *build, end func() (lost error)) {
	started := b.now()
	lock := objstore.NewLockAhead(b.cfg.Lock, catalog.LockEnd(c.DayEnd), started)
	c.LockUntil = lock.Until
	h = &build{Builder: b, claim: c, lock: lock, stop: stop, started: started,
		log: b.log.With(telemetry.In(stop), zap.Int64("revision", c.Revision))}
	grace, endGrace := withGrace(stop, b.cfg.publishTime(), maxBuildTime)
	lease, endLease := h.keepLease(grace)
	work, endWork := cancelWith(lease, stop)
	h.grace, h.lease, h.work = grace, lease, work
	return h, func() error {
		lost := context.Cause(lease)
		endWork()
		endLease()
		endGrace()
		return lost
	}
}

// run makes and publishes the archive.
func (b *build) run() (catalog.BuildResult, error) {
	in, err := b.input()
	if err != nil {
		return catalog.BuildResult{}, err
	}
	if len(in.Recordings) == 0 {
		return catalog.BuildResult{}, b.step(b.work, "commit empty hour", func(ctx context.Context, _ trace.Span) error {
			return b.catalog.CommitEmpty(ctx, b.claim, in.Wanted)
		})
	}
	b.former = b.newFormer(in.Former)
	entries, src, err := b.entries(in.Recordings)
	if err != nil {
		return catalog.BuildResult{}, err
	}
	in.Recordings = nil // the entries hold the strings; the rest can be freed
	release, err := b.reserveMemory(entries)
	if err != nil {
		return catalog.BuildResult{}, err
	}
	defer release()
	if err := b.catalog.StartArchive(b.work, b.claim); err != nil {
		return catalog.BuildResult{}, err
	}
	zip, info, err := b.write(entries, src)
	if err == nil {
		err = b.learn(zip.Learnt)
	}
	if err != nil {
		return catalog.BuildResult{}, err
	}
	result := catalog.BuildResult{
		Wanted: in.Wanted, Size: zip.Size, Files: zip.Files, Sessions: zip.Sessions, Missing: missingOf(zip.Missing),
		ManifestSHA256: zip.ManifestSHA256, ETag: info.ETag, VersionID: info.VersionID, LockedUntil: info.Lock.Until, Took: b.now().Sub(b.started),
	}
	return result, b.step(b.grace, "commit archive", func(ctx context.Context, _ trace.Span) error { return b.commit(ctx, result) })
}

func (b *build) input() (in catalog.BuildInput, err error) {
	ctx, cancel := context.WithTimeout(b.work, readTimeout)
	defer cancel()
	err = b.step(ctx, "read hour", func(ctx context.Context, span trace.Span) error {
		in, err = b.catalog.BuildInput(ctx, b.claim)
		span.SetAttributes(attribute.Int("callvault.recordings", len(in.Recordings)))
		return err
	})
	return in, err
}

// reserveMemory waits until the build's buffers fit into Config.Memory beside those of other
// builds. A build that needs more takes all of it.
func (b *build) reserveMemory(entries []archiver.Entry) (release func(), err error) {
	bytes := min(archiver.Memory(b.cfg.Archive, entries), b.cfg.Memory)
	err = b.step(b.work, "wait for memory", func(ctx context.Context, span trace.Span) error {
		span.SetAttributes(attribute.Int64("callvault.bytes", bytes))
		if err := b.memory.Acquire(ctx, bytes); err != nil {
			return context.Cause(ctx)
		}
		return nil
	})
	return func() { b.memory.Release(bytes) }, err
}

// write reads the recordings and stores their archive.
func (b *build) write(entries []archiver.Entry, src *source) (result archiver.Result, info objstore.Info, err error) {
	fetch := &fetchSpan{tracer: b.tracer, now: b.now, ctx: b.work}
	s := &sink{build: b, key: b.claim.ObjectKey(), span: uploadSpan{tracer: b.tracer}}
	defer func() { s.span.end(err) }()
	hour := archiver.Hour{Day: string(b.claim.Day), Hour: b.claim.Hour, GeneratedAt: b.claim.At}
	cfg := b.cfg.Archive
	if b.former != nil {
		cfg.Instead = src.instead
	}
	result, err = archiver.Build(b.work, cfg, hour, entries, fetch.trace(src.open), s)
	fetch.end()
	if failure := b.former.failure(); failure != nil {
		err = storeFailure(b.work, failure)
	}
	if err == nil {
		info, err = s.finish(result)
	}
	if err != nil {
		s.abort()
	}
	return result, info, err
}

// learn stores the sums that the catalog did not know, before the archive is published. They are
// true also if nothing is published then.
func (b *build) learn(sums iter.Seq[archiver.Learnt]) error {
	return b.step(b.lease, "learn sums", func(ctx context.Context, _ trace.Span) error {
		var learnt []catalog.LearntSum
		for s := range sums {
			learnt = append(learnt, catalog.LearntSum{ObjectKey: s.Key, Size: s.Size, CRC32: s.CRC32, SHA256: s.SHA256, ETag: s.ETag})
			if len(learnt) == catalog.MaxSums {
				if err := b.learnSome(ctx, learnt); err != nil {
					return err
				}
				learnt = learnt[:0]
			}
		}
		if len(learnt) == 0 {
			return nil
		}
		return b.learnSome(ctx, learnt)
	})
}

// learnSome stores some sums, and tries again while the catalog is unavailable.
func (b *build) learnSome(ctx context.Context, sums []catalog.LearntSum) error {
	for retry := b.retry(); ; {
		err := within(ctx, catalogTimeout, func(ctx context.Context) error {
			return b.catalog.LearnSums(ctx, b.claim.Tenant, b.claim.Day, domain.SumBuild, sums)
		})
		if err == nil || !retryable(err) || !retry.wait(ctx, b.cfg.GiveUp) {
			return err
		}
		b.log.Warn("the recordings' sums are not stored yet", zap.Error(err))
	}
}

// commit publishes a stored archive. After an unclear answer it asks whether the archive is
// published: the claim's token refuses a second commit, so nothing is published twice. ctx does
// not end with the lease, because a commit whose answer got lost has ended the claim.
func (b *build) commit(ctx context.Context, r catalog.BuildResult) error {
	unclear := false
	for retry := b.retry(); ; {
		err := within(ctx, catalogTimeout, func(ctx context.Context) error { return b.catalog.Commit(ctx, b.claim, r) })
		if err == nil || domain.KindOf(err) == domain.KindLost && !unclear {
			return err
		}
		published := false
		asked := within(ctx, catalogTimeout, func(ctx context.Context) (err error) {
			published, err = b.catalog.Published(ctx, b.claim)
			return err
		})
		if asked == nil && published {
			return nil
		}
		if asked == nil && !retryable(err) {
			return err
		}
		unclear = true
		if !retry.wait(ctx, b.cfg.GiveUp) {
			return err
		}
		b.log.Warn("it is not clear yet whether the archive is published", zap.Error(errors.Join(err, asked)))
	}
}

// report tells the catalog, the log and the metrics how the build ended, and gives the task's
// error.
func (b *build) report(r catalog.BuildResult, err error) error {
	o := Outcome{
		Key: b.claim.HourKey, Kind: domain.KindOf(err), Took: b.now().Sub(b.started),
		Size: r.Size, Files: r.Files, Missing: len(r.Missing),
	}
	defer func() {
		setOutcome(b.stop, o, b.claim.Revision)
		b.cfg.OnBuild(o)
	}()
	switch {
	case err == nil:
		logMissing(b.log, r.Missing)
		b.log.Info("hour archived", zap.Int64("bytes", o.Size), zap.Int("files", o.Files), zap.Int("missing", o.Missing), zap.Duration("took", o.Took))
		return nil
	case o.Kind == domain.KindLost:
		b.log.Warn("the claim was lost; whoever has it now decides", zap.Error(err))
		return err
	case b.stop.Err() != nil:
		o.Kind = domain.KindInterrupted
		b.log.Info("build stopped; its hour is given back")
		b.endClaim(func(ctx context.Context) error { return b.catalog.Release(ctx, b.claim) })
		return domain.Wrap(domain.KindInterrupted, context.Cause(b.stop), "the worker stops")
	}
	f := failureOf(err)
	o.Kind = f.Kind
	logMissing(b.log, f.Missing)
	b.log.Warn("build failed", zap.String("kind", string(f.Kind)), zap.Bool("final", f.Final), zap.Error(err))
	b.endClaim(func(ctx context.Context) error { return b.catalog.Fail(ctx, b.claim, f) })
	return queue.Recorded(domain.Wrap(f.Kind, err, "%s", f.Message))
}

// endClaim makes a call that ends the claim, and repeats it while the catalog is unavailable. A
// repetition is harmless: the first call that took effect has ended the claim.
func (b *build) endClaim(call func(context.Context) error) {
	ctx, end := withGrace(b.stop, b.cfg.reportTime(), catalogTimeout)
	defer end()
	for retry := b.retry(); ; {
		err := call(ctx)
		if err == nil || domain.KindOf(err) == domain.KindLost {
			return
		}
		if !retry.wait(ctx, catalogTimeout) {
			b.log.Warn("the catalog was not told how the build ended; the claim will lapse", zap.Error(err))
			return
		}
	}
}
