package ingest

import (
	"bytes"
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
)

// expected is what is known of a body before it comes.
type expected struct {
	size   int64  // -1 unknown
	kind   string // content type
	crc32  *uint32
	sha256 []byte // nil when unknown
	// What the catalog says; where the body differs, it is not the recording that was registered.
	knownSize  *int64
	knownCRC32 *uint32
}

// expectations reads Content-Length, x-checksum-crc32 (8 hex digits) and Content-Digest (RFC 9530;
// algorithms other than sha-256 are passed over).
func expectations(r *http.Request) (expected, error) {
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
		inner, ok := strings.CutPrefix(value, ":")
		inner, ok2 := strings.CutSuffix(inner, ":")
		sum, err := base64.StdEncoding.DecodeString(inner)
		if !ok || !ok2 || err != nil || len(sum) != sha256.Size {
			return e, domain.Errorf(domain.KindInvalid, "Content-Digest must be sha-256=:BASE64: of 32 bytes")
		}
		e.sha256 = sum
	}
	return e, nil
}

// meet adds what the catalog knows, and says at once when it can't come true.
func (e *expected) meet(known catalog.Reserved) error {
	e.knownSize, e.knownCRC32 = known.Size, known.CRC32
	if e.knownSize != nil && e.size >= 0 && e.size != *e.knownSize {
		return notRegistered()
	}
	if e.knownCRC32 != nil && e.crc32 != nil && *e.crc32 != *e.knownCRC32 {
		return notRegistered()
	}
	return nil
}

func notRegistered() error {
	return domain.Errorf(domain.KindConflict, "The bytes are not those that are known for this object key: size or CRC-32 differ. If these bytes are right, an operator corrects the recording (callvault recording correct).")
}

// checked reads a body and gives an error in the place of its end when it is not what was expected:
// so nothing is stored that a caller did not mean to send.
type checked struct {
	r    io.Reader
	want expected
	size int64
	crc  hash.Hash32
	sha  hash.Hash
	err  error // of the end; io.EOF when all is well
}

func newChecked(r io.Reader, want expected) *checked {
	return &checked{r: r, want: want, crc: crc32.NewIEEE(), sha: sha256.New()}
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.size += int64(n)
	c.crc.Write(p[:n])
	c.sha.Write(p[:n])
	switch {
	case errors.Is(err, io.EOF):
		c.err = c.compare()
	case err != nil:
		c.err = domain.Wrap(domain.KindInterrupted, err, "the body could not be read")
	}
	return n, c.err
}

// compare gives io.EOF when the whole body is what was expected.
func (c *checked) compare() error {
	sum := c.crc.Sum32()
	switch {
	case c.want.crc32 != nil && *c.want.crc32 != sum:
		return domain.Errorf(domain.KindInvalid, "The bytes do not match x-checksum-crc32.")
	case c.want.sha256 != nil && !bytes.Equal(c.want.sha256, c.sha.Sum(nil)):
		return domain.Errorf(domain.KindInvalid, "The bytes do not match Content-Digest.")
	case c.want.knownSize != nil && *c.want.knownSize != c.size, c.want.knownCRC32 != nil && *c.want.knownCRC32 != sum:
		return notRegistered()
	}
	return io.EOF
}

// describe reads everything.
func describe(r io.Reader) (Stored, error) {
	crc, sha := crc32.NewIEEE(), sha256.New()
	n, err := io.Copy(io.MultiWriter(crc, sha), r)
	return Stored{Size: n, CRC32: crc.Sum32(), SHA256: [sha256.Size]byte(sha.Sum(nil))}, err
}
