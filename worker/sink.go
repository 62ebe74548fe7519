package worker

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	zipType = "application/zip"
	// tidyTimeout bounds the abort after a failed build. What it leaves, the
	// sweeper finds.
	tidyTimeout = 10 * time.Second
	// partPatience is how long a part is tried again while the store is away.
	partPatience = time.Minute
)

// sink is an archive on its way to the store: an object in one request when it
// is one part, else a multipart upload. Its errors are the store's, with the
// kinds that storeFailure gives, or the catalog's.
type sink struct {
	*Builder
	drain context.Context //nolint:containedctx // the order to stop, which shortens patience
	claim catalog.Claim
	key   string
	log   *zap.Logger
	up    uploading

	whole  bool // one part, one request
	upload string

	mu    sync.Mutex
	parts []objstore.Part
}

// Begin begins an upload, instead of the former one after a restart.
func (s *sink) Begin(ctx context.Context, _, _ int64, parts int) error {
	s.discard(ctx)
	s.whole, s.parts = parts == 1, nil
	s.up.begin(ctx)
	if s.whole {
		return nil
	}
	id, err := s.archives.NewUpload(ctx, s.key, zipType)
	if err != nil {
		return storeFailure(ctx, err)
	}
	s.upload = id
	return s.catalog.SetUpload(ctx, s.claim, id) // before its first byte
}

// Part writes one part, trying again while the store is away.
func (s *sink) Part(ctx context.Context, number int, data []byte, sum uint32) error {
	ctx, span := s.up.part(ctx, number, data)
	defer span.End()
	since := s.now()
	for try := 1; ; try++ {
		err := s.part(ctx, number, data, sum)
		if err == nil {
			return nil
		}
		if !passing(err) || !s.again(ctx, try, since, partPatience) {
			telemetry.Failed(span, err)
			return storeFailure(ctx, err)
		}
		s.up.again.Add(1)
		s.log.Warn("a part could not be written yet", zap.Int("part", number), zap.Error(err))
	}
}

func (s *sink) part(ctx context.Context, number int, data []byte, sum uint32) error {
	if s.whole {
		_, err := s.archives.Put(ctx, s.key, data, objstore.PutOptions{ContentType: zipType, CRC32: &sum, IfNoneMatch: true})
		if domain.KindOf(err) == domain.KindConflict {
			return nil // only we write this key: an answer got lost before; finish compares what stands
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

// finish publishes the upload in the store and returns the object's ETag once
// the object is seen there whole. It asks again what stands after every
// unclear answer, and never gives the bytes twice.
func (s *sink) finish(ctx context.Context, r archiver.Result) (string, error) {
	since := s.now()
	for try := 1; ; try++ {
		completed := s.complete(ctx)
		etag, found, err := s.standing(ctx, r)
		switch {
		case found:
			return etag, err
		case err == nil && completed != nil && !passing(completed):
			return "", storeFailure(ctx, completed)
		case err == nil && completed == nil:
			err = domain.Errorf(domain.KindStoreFault, "the object store does not hold what it said it had taken")
		case err == nil:
			err = completed
		}
		if !s.again(ctx, try, since, s.patience(s.drain)) {
			return "", storeFailure(ctx, err)
		}
		s.log.Warn("it is not clear yet whether the archive is stored", zap.Error(err))
	}
}

func (s *sink) complete(ctx context.Context) error {
	if s.whole {
		return nil
	}
	return s.step(ctx, "complete upload", func(ctx context.Context, _ trace.Span) error {
		_, err := s.archives.Complete(ctx, s.key, s.upload, s.parts, objstore.CompleteOptions{IfNoneMatch: true})
		return err
	})
}

// standing looks the archive up. found says that the key exists; err then
// says that it is not what was written, or not safe on disk yet.
func (s *sink) standing(ctx context.Context, r archiver.Result) (etag string, found bool, err error) {
	info, err := s.archives.Stat(ctx, s.key)
	switch {
	case domain.KindOf(err) == domain.KindNotFound:
		return "", false, nil
	case err != nil:
		return "", false, err
	case info.Size != r.Size || info.CRC32 != nil && *info.CRC32 != r.CRC32:
		return "", true, domain.Errorf(domain.KindStoreFault, "the object store holds other bytes than were written")
	}
	if err := s.archives.Sync(s.key); err != nil {
		return "", false, err
	}
	return info.ETag, true, nil
}

// discard aborts the upload, if there is one. An object that stands is left to
// the sweeper.
func (s *sink) discard(ctx context.Context) {
	if s.upload == "" {
		return
	}
	ctx, leave := parting(ctx, s.drain, s.cfg.telling())
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	if err := s.archives.Abort(ctx, s.key, s.upload); err != nil {
		s.log.Warn("an upload could not be aborted; the sweeper will do it", zap.Error(err))
	}
	s.upload = ""
}
