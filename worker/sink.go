package worker

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	zipType = "application/zip"
	// cleanupTimeout bounds the abort of an upload. The sweeper aborts it if that fails.
	cleanupTimeout = 10 * time.Second
	// partRetryTime is how long writing a part is retried while the store is unavailable.
	partRetryTime = time.Minute
)

// sink writes an archive to the store: by one Put when it has one part, by a multipart upload
// otherwise. Its errors are the catalog's, or the store's as storeFailure translates them.
type sink struct {
	*build
	key  string
	span uploadSpan

	single bool   // one part, written by one Put
	upload string // id of the multipart upload; "" without one

	mu    sync.Mutex
	parts []objstore.Part
}

// Begin begins an upload, after a restart in place of the former one.
func (s *sink) Begin(ctx context.Context, _, partSize int64, parts int) error {
	s.abort()
	s.single, s.parts = parts == 1, nil
	s.span.begin(ctx)
	if s.single {
		return nil
	}
	id, err := s.archives.NewUpload(ctx, s.key, objstore.UploadOptions{ContentType: zipType, PartSize: partSize, Lock: s.lock})
	if err != nil {
		return storeFailure(ctx, err)
	}
	s.upload = id
	return s.catalog.SetUpload(ctx, s.claim, id) // before its first byte, so that the sweeper can abort it
}

// Part writes one part, and retries it while the store is unavailable.
func (s *sink) Part(ctx context.Context, number int, data []byte, sum uint32) error {
	ctx, span := s.span.part(ctx, number, data)
	defer span.End()
	for retry := s.retry(); ; {
		err := s.part(ctx, number, data, sum)
		if err == nil {
			return nil
		}
		if !retryable(err) || !retry.wait(ctx, partRetryTime) {
			telemetry.Failed(span, err)
			return storeFailure(ctx, err)
		}
		s.span.retried.Add(1)
		s.log.Warn("a part could not be written yet", zap.Int("part", number), zap.Error(err))
	}
}

func (s *sink) part(ctx context.Context, number int, data []byte, sum uint32) error {
	if s.single {
		_, err := s.archives.Put(ctx, s.key, data, objstore.PutOptions{ContentType: zipType, CRC32: &sum, IfNoneMatch: true, Lock: s.lock})
		if domain.KindOf(err) == domain.KindConflict {
			return nil // nobody else writes this key, so an earlier try wrote it; finish compares the bytes
		}
		return err
	}
	p, err := s.archives.PutPart(ctx, s.key, s.upload, number, data, sum)
	if err == nil {
		s.mu.Lock()
		s.parts = append(s.parts, p)
		s.mu.Unlock()
	}
	return err
}

// finish completes the upload, checks the stored object and describes it. After an unclear
// answer it looks the object up again; it never writes the bytes a second time.
func (s *sink) finish(r archiver.Result) (objstore.Info, error) {
	ctx := s.span.context(s.lease)
	for retry := s.retry(); ; {
		completed := s.complete(ctx)
		info, found, err := s.stored(ctx, r)
		switch {
		case found:
			return info, err
		case err == nil && completed != nil && !retryable(completed):
			return info, storeFailure(ctx, completed)
		case err == nil && completed == nil:
			err = domain.Errorf(domain.KindStoreFault, "the object store does not hold what it said it had taken")
		case err == nil:
			err = completed
		}
		if !retry.wait(ctx, s.cfg.GiveUp) {
			return info, storeFailure(ctx, err)
		}
		s.log.Warn("it is not clear yet whether the archive is stored", zap.Error(err))
	}
}

func (s *sink) complete(ctx context.Context) error {
	if s.single {
		return nil
	}
	return s.step(ctx, "complete upload", func(ctx context.Context, _ trace.Span) error {
		_, err := s.archives.Complete(ctx, s.key, s.upload, s.parts, objstore.CompleteOptions{IfNoneMatch: true})
		return err
	})
}

// stored looks the archive up in the store. found says that the key exists; err then says that its
// bytes are others than were written.
func (s *sink) stored(ctx context.Context, r archiver.Result) (info objstore.Info, found bool, err error) {
	info, err = s.archives.Stat(ctx, s.key)
	switch {
	case domain.KindOf(err) == domain.KindNotFound:
		return info, false, nil
	case err != nil:
		return info, false, err
	case info.Size != r.Size || info.CRC32 != nil && *info.CRC32 != r.CRC32:
		return info, true, domain.Errorf(domain.KindStoreFault, "the object store holds other bytes than were written")
	}
	if err := s.archives.Sync(s.key); err != nil {
		return info, false, err
	}
	return info, true, nil
}

// abort aborts the upload, if there is one. A stored object is left to the sweeper.
func (s *sink) abort() {
	if s.upload == "" {
		return
	}
	ctx, end := withGrace(s.stop, s.cfg.reportTime(), cleanupTimeout)
	defer end()
	if err := s.archives.Abort(ctx, s.key, s.upload); err != nil {
		s.log.Warn("an upload could not be aborted; the sweeper will do it", zap.Error(err))
	}
	s.upload = ""
}
