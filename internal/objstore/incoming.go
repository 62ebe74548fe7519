package objstore

import (
	"crypto/sha256"
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/callvault/callvault/internal/domain"
)

// Stored describes the bytes that a stream gave.
type Stored struct {
	Size   int64
	CRC32  uint32
	SHA256 domain.SHA256
	ETag   string // empty unless the object was written
}

// Incoming is a stream on its way into a store: it counts and sums what is read.
type Incoming struct {
	r    io.Reader
	size int64 // announced; -1 unknown
	read int64
	crc  hash.Hash32
	sha  hash.Hash
}

// NewIncoming begins a stream of size bytes; -1 is unknown.
func NewIncoming(r io.Reader, size int64) *Incoming {
	return &Incoming{r: r, size: size, crc: crc32.NewIEEE(), sha: sha256.New()}
}

// Fill reads the next bytes and says whether they are the last. Errors: too_large (more than a
// store takes in parts of [PartSize]), invalid (another size than was announced), and the reader's.
func (in *Incoming) Fill(buffer []byte) (n int, last bool, err error) {
	n, err = io.ReadFull(in.r, buffer)
	last = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	in.read += int64(n)
	_, _ = in.crc.Write(buffer[:n]) // a hash never fails
	_, _ = in.sha.Write(buffer[:n])
	switch {
	case max(in.read, in.size) > MaxParts*PartSize:
		return n, last, domain.Errorf(domain.KindTooLarge, "at most %d bytes can be streamed", int64(MaxParts*PartSize))
	case err != nil && !last:
		return n, false, domain.Wrap(kindOfReader(err), err, "its bytes could not be read")
	case in.size >= 0 && (in.read > in.size || last && in.read < in.size):
		return n, last, domain.Errorf(domain.KindInvalid, "%d bytes were announced and not given", in.size)
	}
	return n, last, nil
}

// kindOfReader keeps the kind of a reader's error that has one.
func kindOfReader(err error) domain.Kind {
	if kind := domain.KindOf(err); kind != domain.KindInternal {
		return kind
	}
	return domain.KindInterrupted
}

// Stored describes what has been read.
func (in *Incoming) Stored(etag string) Stored {
	return Stored{Size: in.read, CRC32: in.crc.Sum32(), SHA256: domain.SHA256(in.sha.Sum(nil)), ETag: etag}
}
