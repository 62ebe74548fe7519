package ingest

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strings"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/objstore"
)

// expected is what is known of a body before it is read.
type expected struct {
	size   int64  // -1 when unknown
	kind   string // content type
	crc32  *uint32
	sha256 *domain.SHA256
	// What the catalog knows. A body that differs is not the registered recording.
	known catalog.Reserved
}

// readExpected reads Content-Length, x-checksum-crc32 (8 hex digits) and Content-Digest (RFC 9530).
// It ignores digests other than sha-256.
func readExpected(r *http.Request) (expected, error) {
	e := expected{size: r.ContentLength}
	if text := r.Header.Get("x-checksum-crc32"); text != "" {
		sum, err := ingest.ParseCRC32(text)
		if err != nil {
			return e, domain.Errorf(domain.KindInvalid, "x-checksum-crc32 must be 8 hex digits such as a1b2c3d4")
		}
		e.crc32 = &sum
	}
	for item := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Digest"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		if !strings.EqualFold(name, "sha-256") {
			continue
		}
		encoded, opened := strings.CutPrefix(value, ":")
		encoded, closed := strings.CutSuffix(encoded, ":")
		sum, err := base64.StdEncoding.DecodeString(encoded)
		if !opened || !closed || err != nil || len(sum) != sha256.Size {
			return e, domain.Errorf(domain.KindInvalid, "Content-Digest must be sha-256=:BASE64: of 32 bytes")
		}
		e.sha256 = (*domain.SHA256)(sum)
	}
	return e, nil
}

// compareKnown adds what the catalog knows. Error: KindConflict when the headers contradict it.
func (e *expected) compareKnown(known catalog.Reserved) error {
	e.known = known
	if known.Size != nil && e.size >= 0 && e.size != *known.Size || domain.Differ(known.CRC32, e.crc32) || domain.Differ(known.SHA256, e.sha256) {
		return notRegistered()
	}
	return nil
}

func notRegistered() error {
	return domain.Errorf(domain.KindConflict, "The bytes are not those that are known for this object key: size, CRC-32 or SHA-256 differ. If these bytes are right, an operator corrects the recording (callvault recording correct).")
}

// verifiedReader reads a body. When the body is not what was expected, it gives an error instead of
// the end, so that nothing is stored.
type verifiedReader struct {
	r    io.Reader
	want expected
	size int64
	crc  hash.Hash32
	sha  hash.Hash // nil when no SHA-256 is expected: the store computes one too
	err  error     // of the end; io.EOF when the body is as expected
}

func newVerifiedReader(r io.Reader, want expected) *verifiedReader {
	v := &verifiedReader{r: r, want: want, crc: crc32.NewIEEE()}
	if want.sha256 != nil || want.known.SHA256 != nil {
		v.sha = sha256.New()
	}
	return v
}

func (v *verifiedReader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.size += int64(n)
	v.crc.Write(p[:n])
	if v.sha != nil {
		v.sha.Write(p[:n])
	}
	switch {
	case errors.Is(err, io.EOF):
		v.err = v.compare()
	case err != nil:
		v.err = domain.Wrap(domain.KindInterrupted, err, "the body could not be read")
	}
	return n, v.err
}

// compare gives io.EOF when the whole body is what was expected.
func (v *verifiedReader) compare() error {
	crc, known := v.crc.Sum32(), v.want.known
	var sum *domain.SHA256
	if v.sha != nil {
		sum = (*domain.SHA256)(v.sha.Sum(nil))
	}
	switch {
	case domain.Differ(v.want.crc32, &crc):
		return domain.Errorf(domain.KindInvalid, "The bytes do not match x-checksum-crc32.")
	case domain.Differ(v.want.sha256, sum):
		return domain.Errorf(domain.KindInvalid, "The bytes do not match Content-Digest.")
	case domain.Differ(known.Size, &v.size), domain.Differ(known.CRC32, &crc), domain.Differ(known.SHA256, sum):
		return notRegistered()
	}
	return io.EOF
}

// hashBody reads a whole body.
func hashBody(r io.Reader) (objstore.Stored, error) {
	crc, sha := crc32.NewIEEE(), sha256.New()
	n, err := io.Copy(io.MultiWriter(crc, sha), r)
	return objstore.Stored{Size: n, CRC32: crc.Sum32(), SHA256: domain.SHA256(sha.Sum(nil))}, err
}
