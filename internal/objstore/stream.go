package objstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// abortTimeout bounds the abort of a failed upload.
const abortTimeout = 10 * time.Second

// Stored describes the bytes of a stream.
type Stored struct {
	Size   int64
	CRC32  uint32
	SHA256 [sha256.Size]byte
	ETag   string // empty unless the object was written
}

// PutStream writes the bytes of r under a key that must be new. It holds one part of [PartSize]
// bytes in memory. A size of -1 is unknown; another size that differs from r's is invalid. When the
// key exists, the error is conflict, and Stored describes the refused bytes, so that they can be
// compared with the object. An error of r is wrapped. Errors also: too_large, store_fault,
// unavailable.
func (b *Bucket) PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (Stored, error) {
	if err := b.CheckKey(key); err != nil {
		return Stored{}, err
	}
	if size < -1 || size > MaxParts*PartSize {
		return Stored{}, domain.Errorf(domain.KindTooLarge, "write %s/%s: at most %d bytes can be streamed", b.name, key, int64(MaxParts*PartSize))
	}
	buffer, release := b.store.buffer(size)
	defer release()
	s := &stream{bucket: b, key: key, r: r, size: size, hash: crc32.NewIEEE(), sha: sha256.New()}
	n, last, err := s.fill(buffer)
	if err != nil {
		return s.stored(""), err
	}
	if !last {
		return s.inParts(ctx, buffer, contentType)
	}
	sum := s.hash.Sum32()
	etag, err := b.Put(ctx, key, buffer[:n], PutOptions{ContentType: contentType, CRC32: &sum, IfNoneMatch: true})
	return s.stored(etag), err
}

// buffer returns as much memory as the stream needs, one part at most.
func (s *Store) buffer(size int64) ([]byte, func()) {
	// With one more byte, a stream that is longer than announced is noticed.
	if size >= 0 && size < PartSize/2 {
		return make([]byte, size+1), func() {}
	}
	pooled, ok := s.buffers.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, PartSize)
		pooled = &fresh
	}
	return *pooled, func() { s.buffers.Put(pooled) }
}

// stream is a stream being written.
type stream struct {
	bucket *Bucket
	key    string
	r      io.Reader
	size   int64 // announced; -1: unknown
	read   int64
	hash   interface {
		io.Writer
		Sum32() uint32
	}
	sha interface {
		io.Writer
		Sum(b []byte) []byte
	}
}

// fill reads the next part and says whether it is the last.
func (s *stream) fill(buffer []byte) (int, bool, error) {
	n, err := io.ReadFull(s.r, buffer)
	last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	s.read += int64(n)
	for _, w := range []io.Writer{s.hash, s.sha} {
		if _, hashErr := w.Write(buffer[:n]); hashErr != nil {
			return n, last, hashErr
		}
	}
	switch {
	case err != nil && !last:
		return n, false, domain.Wrap(kindOfReader(err), err, "write %s/%s: its bytes could not be read", s.bucket.name, s.key)
	case s.size >= 0 && (s.read > s.size || (last && s.read < s.size)):
		return n, last, domain.Errorf(domain.KindInvalid, "write %s/%s: %d bytes were announced and not given", s.bucket.name, s.key, s.size)
	}
	return n, last, nil
}

// kindOfReader returns the kind of a reader's error; interrupted when it has none.
func kindOfReader(err error) domain.Kind {
	if kind := domain.KindOf(err); kind != domain.KindInternal {
		return kind
	}
	return domain.KindInterrupted
}

// inParts writes the stream as an upload in parts. The buffer has the first part.
func (s *stream) inParts(ctx context.Context, buffer []byte, contentType string) (Stored, error) {
	b := s.bucket
	id, err := b.NewUpload(ctx, s.key, contentType)
	if err != nil {
		return s.stored(""), err
	}
	parts, err := s.parts(ctx, id, buffer)
	if err == nil {
		var etag string
		if etag, err = b.Complete(ctx, s.key, id, parts, CompleteOptions{IfNoneMatch: true}); err == nil {
			return s.stored(etag), nil
		}
	}
	aborting, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if abortErr := b.Abort(aborting, s.key, id); abortErr != nil {
		err = domain.Wrap(domain.KindOf(err), errors.Join(err, abortErr), "%s", domain.SafeMessage(err))
	}
	return s.stored(""), err
}

func (s *stream) parts(ctx context.Context, id string, buffer []byte) ([]Part, error) {
	var parts []Part
	n, last := len(buffer), false
	for number := 1; ; number++ {
		if number > MaxParts {
			return nil, domain.Errorf(domain.KindTooLarge, "write %s/%s: at most %d bytes can be streamed", s.bucket.name, s.key, int64(MaxParts*PartSize))
		}
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

func (s *stream) stored(etag string) Stored {
	return Stored{Size: s.read, CRC32: s.hash.Sum32(), SHA256: [sha256.Size]byte(s.sha.Sum(nil)), ETag: etag}
}
