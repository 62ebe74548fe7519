package objstore

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// abortTimeout bounds the abort of a failed upload.
const abortTimeout = 10 * time.Second

// PutStream writes the bytes of r under a key that must be new. It holds one part of [PartSize]
// bytes in memory. A size of -1 is unknown; another size that differs from r's is invalid. When the
// key exists, the error is conflict, and Stored describes the refused bytes, so that they can be
// compared with the object. An error of r is wrapped. Errors also: too_large, store_fault,
// unavailable.
func (b *Bucket) PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (Stored, error) {
	if err := b.CheckKey(key); err != nil {
		return Stored{}, err
	}
	buffer, release := b.store.buffer(size)
	defer release()
	s := &stream{Incoming: NewIncoming(r, size), bucket: b, key: key}
	etag, err := s.write(ctx, buffer, contentType)
	return s.Stored(etag), err
}

// buffer returns as much memory as the stream needs, one part at most.
func (s *Store) buffer(size int64) ([]byte, func()) {
	// With one more byte, a stream that is longer than announced is noticed.
	if size >= 0 && size < PartSize/2 {
		return make([]byte, size+1), func() {}
	}
	pooled, _ := s.buffers.Get().(*[]byte) // the pool has no other type
	return *pooled, func() { s.buffers.Put(pooled) }
}

// stream is a stream being written.
type stream struct {
	*Incoming
	bucket *Bucket
	key    string
}

// fill is Fill with the object in its errors.
func (s *stream) fill(buffer []byte) (int, bool, error) {
	n, last, err := s.Fill(buffer)
	if err != nil {
		err = domain.Wrap(domain.KindOf(err), errors.Unwrap(err), "write %s/%s: %s", s.bucket.name, s.key, domain.SafeMessage(err))
	}
	return n, last, err
}

// write writes the stream, as an upload in parts unless it fits into the buffer, and returns the
// object's ETag.
func (s *stream) write(ctx context.Context, buffer []byte, contentType string) (etag string, err error) {
	b := s.bucket
	n, last, err := s.fill(buffer)
	if err != nil {
		return "", err
	}
	if last {
		sum := s.Stored("").CRC32
		return b.Put(ctx, s.key, buffer[:n], PutOptions{ContentType: contentType, CRC32: &sum, IfNoneMatch: true})
	}
	id, err := b.NewUpload(ctx, s.key, UploadOptions{ContentType: contentType, PartSize: PartSize})
	if err != nil {
		return "", err
	}
	parts, err := s.parts(ctx, id, buffer)
	if err == nil {
		if etag, err = b.Complete(ctx, s.key, id, parts, CompleteOptions{IfNoneMatch: true}); err == nil {
			return etag, nil
		}
	}
	aborting, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if abortErr := b.Abort(aborting, s.key, id); abortErr != nil {
		err = errors.Join(err, abortErr)
	}
	return "", err
}

func (s *stream) parts(ctx context.Context, id string, buffer []byte) ([]Part, error) {
	var parts []Part
	n, last := len(buffer), false
	for number := 1; ; number++ {
		part, err := s.bucket.PutPart(ctx, s.key, id, number, buffer[:n], crc32.ChecksumIEEE(buffer[:n]))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if last {
			return parts, nil
		}
		if n, last, err = s.fill(buffer); err != nil {
			return nil, err
		}
		if n == 0 {
			return parts, nil
		}
	}
}
