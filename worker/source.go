package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// source reads recordings for the archiver.
type source struct {
	bucket      Recordings
	unavailable map[string]error // by key, why a recording can't be read; not changed once the archiver reads
	hour        []catalog.BuildRecording
	lastRead    *atomic.Pointer[string] // the key of the recording that any build read last
}

// open is an archiver.Source.
func (s *source) open(ctx context.Context, e archiver.Entry, from, n int64, etag string) (archiver.Object, error) {
	if err := s.unavailable[e.Key]; err != nil {
		return archiver.Object{}, err
	}
	opts := objstore.GetOptions{From: from, IfMatch: etag}
	if from > 0 || n < e.Size {
		opts.To = from + n
	}
	o, err := s.bucket.Get(ctx, e.Key, opts)
	if err != nil {
		return archiver.Object{}, s.archiverError(ctx, e.Key, err)
	}
	s.lastRead.Store(&e.Key)
	return archiver.Object{Body: o.Body, Size: o.Size, ETag: o.ETag}, nil
}

// archiverError translates the store's error about a recording into one of the archiver's.
func (s *source) archiverError(ctx context.Context, key string, err error) error {
	sentinel := map[domain.Kind]error{
		domain.KindNotFound: archiver.ErrVanished, domain.KindConflict: archiver.ErrChanged,
		domain.KindInvalid:    archiver.ErrVanished, // a key that the store can't hold is not there
		domain.KindUnreadable: archiver.ErrUnreadable, domain.KindRefused: archiver.ErrRefused,
	}[domain.KindOf(err)]
	// The recording is tried again last, because the denial may have ended before another key was
	// read.
	if objstore.Denied(err) && s.canReadAnother(ctx, key) && objstore.Denied(objstore.Readable(ctx, s.bucket, key)) {
		sentinel = archiver.ErrUnreadable
	}
	if sentinel == nil {
		return err
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// maxOthers is how many other recordings are tried to learn whether the store denies one or all.
const maxOthers = 4

// canReadAnother says whether another recording can be read now. If so the store denies this one
// only; otherwise it denies the whole bucket, which is an outage.
func (s *source) canReadAnother(ctx context.Context, key string) bool {
	keys := make([]string, 0, maxOthers)
	if last := s.lastRead.Load(); last != nil {
		keys = append(keys, *last)
	}
	for i := 0; i < len(s.hour) && len(keys) < maxOthers; i++ {
		keys = append(keys, s.hour[i].ObjectKey)
	}
	for _, other := range keys {
		if other != key && objstore.Readable(ctx, s.bucket, other) == nil {
			return true
		}
	}
	return false
}

// entries turns recordings into the archiver's entries, and asks the store for sizes that the
// catalog does not know.
func (b *build) entries(recordings []catalog.BuildRecording) (entries []archiver.Entry, src *source, err error) {
	err = b.step(b.work, "look up sources", func(ctx context.Context, _ trace.Span) error {
		entries, src, err = b.lookUp(ctx, recordings)
		return err
	})
	return entries, src, err
}

func (b *build) lookUp(ctx context.Context, recordings []catalog.BuildRecording) ([]archiver.Entry, *source, error) {
	src := &source{bucket: b.recordings, unavailable: map[string]error{}, hour: recordings, lastRead: &b.lastRead}
	unsaved := &sizeBatch{}
	entries := make([]archiver.Entry, len(recordings))
	var mu sync.Mutex
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(b.cfg.Archive.Gets)
	for i := range recordings {
		r := &recordings[i]
		entries[i] = archiver.Entry{
			Key: r.ObjectKey, ExternalConversationID: r.ExternalConversationID, SessionID: r.SessionID,
			MessageID: r.MessageID, Type: r.Type, Timestamp: r.Timestamp, CRC32: r.CRC32, ContentType: r.ContentType,
		}
		if r.Size != nil {
			entries[i].Size = *r.Size
			continue
		}
		group.Go(func() error {
			info, err := b.recordings.Stat(gctx, entries[i].Key)
			if err != nil {
				err = src.archiverError(gctx, entries[i].Key, err)
			}
			if errors.Is(err, archiver.ErrVanished) || errors.Is(err, archiver.ErrUnreadable) {
				mu.Lock()
				defer mu.Unlock()
				src.unavailable[entries[i].Key] = err
				return nil
			}
			if err != nil {
				return err
			}
			entries[i].Size = info.Size
			return b.catalog.SaveSizes(gctx, b.claim, unsaved.add(catalog.ObjectSize{ObjectKey: entries[i].Key, Bytes: info.Size}))
		})
	}
	err := group.Wait()
	if err == nil {
		err = b.catalog.SaveSizes(ctx, b.claim, unsaved.sizes)
	}
	if err != nil && ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return entries, src, err
}

// sizeBatch collects sizes until the catalog is told of them together.
type sizeBatch struct {
	mu    sync.Mutex
	sizes []catalog.ObjectSize
}

// add adds a size, and gives the batch when it is full.
func (l *sizeBatch) add(s catalog.ObjectSize) (full []catalog.ObjectSize) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sizes = append(l.sizes, s); len(l.sizes) == catalog.MaxSizes {
		full, l.sizes = l.sizes, nil
	}
	return full
}
