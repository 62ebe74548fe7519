package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	unavailable map[string]error        // by key, why a recording can't be read; not changed once the archiver reads
	others      []string                // a few of the hour's keys, to learn whether the store denies one or all
	former      *former                 // the archive that the hour does not serve any more; nil for none
	lastRead    *atomic.Pointer[string] // the key of the recording that any build read last
}

// open is an archiver.Source.
func (s *source) open(ctx context.Context, e archiver.Entry, from, n int64, etag string) (archiver.Object, error) {
	if file, ok := s.former.takes(e.Key); ok {
		o, err := s.former.open(ctx, file, from, n)
		if err != nil {
			err = s.archiverError(ctx, e.Key, err)
		}
		return o, err
	}
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

// instead is archiver.Config's Instead.
func (s *source) instead(e archiver.Entry, _ archiver.Reason) (archiver.Entry, bool) {
	return s.former.instead(e, s.unavailable[e.Key] == nil)
}

// archiverError translates the store's error about a recording into one of the archiver's.
func (s *source) archiverError(ctx context.Context, key string, err error) error {
	sentinel := map[domain.Kind]error{
		domain.KindNotFound: archiver.ErrVanished, domain.KindConflict: archiver.ErrChanged,
		domain.KindInvalid:    archiver.ErrVanished, // a key that the store can't hold is not there
		domain.KindUnreadable: archiver.ErrUnreadable, domain.KindRefused: archiver.ErrRefused,
	}[domain.KindOf(err)]
	others := s.others
	if last := s.lastRead.Load(); last != nil {
		others = append([]string{*last}, others...)
	}
	if objstore.DeniedAlone(ctx, s.bucket, key, err, slices.Values(others)) {
		sentinel = archiver.ErrUnreadable
	}
	if sentinel == nil {
		return err
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// maxOthers is how many recordings of the hour are tried to learn whether the store denies one or
// all.
const maxOthers = 4

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
	src := &source{bucket: b.recordings, unavailable: map[string]error{}, lastRead: &b.lastRead, former: b.former}
	for _, r := range recordings[:min(len(recordings), maxOthers)] {
		src.others = append(src.others, r.ObjectKey)
	}
	entries := make([]archiver.Entry, len(recordings))
	var mu sync.Mutex
	var unsaved []catalog.ObjectSize
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(b.cfg.Archive.Gets)
	for i := range recordings {
		r := &recordings[i]
		entries[i] = archiver.Entry{
			Key: r.ObjectKey, ExternalConversationID: r.ExternalConversationID, SessionID: r.SessionID,
			MessageID: r.MessageID, Type: r.Type, Timestamp: r.Timestamp,
			CRC32: r.CRC32, SHA256: r.SHA256, ETag: r.ETag,
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
			missing := errors.Is(err, archiver.ErrVanished) || errors.Is(err, archiver.ErrUnreadable)
			if err != nil && !missing {
				return err
			}
			entries[i].Size = info.Size
			mu.Lock()
			var full []catalog.ObjectSize
			if missing {
				src.unavailable[entries[i].Key] = err
			} else if unsaved = append(unsaved, catalog.ObjectSize{ObjectKey: entries[i].Key, Bytes: info.Size}); len(unsaved) == catalog.MaxSizes {
				full, unsaved = unsaved, nil
			}
			mu.Unlock()
			return b.catalog.SaveSizes(gctx, b.claim, full)
		})
	}
	err := group.Wait()
	if err == nil {
		err = b.catalog.SaveSizes(ctx, b.claim, unsaved)
	}
	if err != nil && ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return entries, src, err
}
