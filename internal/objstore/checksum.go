package objstore

import (
	"crypto/md5" //nolint:gosec // S3's own check of what arrives, where a store knows no other
	"encoding/base64"
	"hash/crc32"

	"github.com/callvault/callvault/internal/domain"
)

// DoWithoutChecksums leaves out what S3 calls checksums, from the next request
// on: for stores that refuse it. Content-MD5, which is older, guards the bytes
// on their way instead, and nobody is told what sum an object has.
func (s *Store) DoWithoutChecksums(yes bool) { s.plain.Store(yes) }

// check is how the store sees that bytes arrive as they were sent.
type check struct {
	md5 string // base64; "" where the CRC-32 is sent
}

// checked says how data is to be guarded. Where the store is not told the
// CRC-32, it is compared here.
func (s *Store) checked(data []byte, sum uint32) (check, error) {
	if !s.plain.Load() {
		return check{}, nil
	}
	if crc32.ChecksumIEEE(data) != sum {
		return check{}, domain.Errorf(domain.KindStoreFault, "the bytes have another CRC-32")
	}
	whole := md5.Sum(data) //nolint:gosec // as above
	return check{md5: base64.StdEncoding.EncodeToString(whole[:])}, nil
}
