package worker

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// source reads recordings for the archiver.
type source struct {
	bucket Recordings
	gone   map[string]bool // keys known to be missing; not changed any more
}

// open is an archiver.Source.
func (s *source) open(ctx context.Context, e archiver.Entry, from, n int64, etag string) (archiver.Object, error) {
	if s.gone[e.Key] {
		return archiver.Object{}, archiver.ErrVanished
	}
	opts := objstore.GetOptions{From: from, IfMatch: etag}
	if from > 0 || n < e.Size {
		opts.To = from + n
	}
	o, err := s.bucket.Get(ctx, e.Key, opts)
	switch domain.KindOf(err) {
	case "":
		return archiver.Object{Body: o.Body, Size: o.Size, ETag: o.ETag}, nil
	case domain.KindNotFound:
		return archiver.Object{}, fmt.Errorf("%w: %w", archiver.ErrVanished, err)
	case domain.KindConflict:
		return archiver.Object{}, fmt.Errorf("%w: %w", archiver.ErrChanged, err)
	}
	return archiver.Object{}, err
}

// entries turns recordings into what the archiver takes, and asks the store
// for the sizes that nobody told.
func (b *Builder) entries(ctx context.Context, c catalog.Claim, recordings []catalog.BuildRecording) (entries []archiver.Entry, src *source, err error) {
	err = b.step(ctx, "look up sources", func(ctx context.Context, _ trace.Span) error {
		entries, src, err = b.lookUp(ctx, c, recordings)
		return err
	})
	return entries, src, err
}

func (b *Builder) lookUp(ctx context.Context, c catalog.Claim, recordings []catalog.BuildRecording) ([]archiver.Entry, *source, error) {
	src := &source{bucket: b.recordings, gone: map[string]bool{}}
	learnt := &lesson{}
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
			if domain.KindOf(err) == domain.KindNotFound {
				mu.Lock()
				defer mu.Unlock()
				src.gone[entries[i].Key] = true
				return nil
			}
			if err != nil {
				return err
			}
			entries[i].Size = info.Size
			return b.catalog.LearnSizes(gctx, c, learnt.add(catalog.Size{ObjectKey: entries[i].Key, Bytes: info.Size}))
		})
	}
	err := group.Wait()
	if err == nil {
		err = b.catalog.LearnSizes(ctx, c, learnt.sizes)
	}
	if err != nil && ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return entries, src, err
}

// lesson is what the store told and the catalog was not told yet.
type lesson struct {
	mu    sync.Mutex
	sizes []catalog.Size
}

// add gives as many sizes as can be told at once when there are so many.
func (l *lesson) add(s catalog.Size) (full []catalog.Size) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sizes = append(l.sizes, s); len(l.sizes) == catalog.MaxSizes {
		full, l.sizes = l.sizes, nil
	}
	return full
}
