package objstore

import (
	"crypto/md5" //nolint:gosec // S3's own check of what arrives, where a store knows no other
	"encoding/base64"
	"hash/crc32"

	"github.com/callvault/callvault/internal/domain"
)

// DoWithoutChecksums switches S3's checksum headers off or on, from the next request on. It is for
// stores that refuse these headers. Without them Content-MD5 protects the bytes in transit, and
// Stat returns no CRC-32.
func (s *Store) DoWithoutChecksums(yes bool) { s.noChecksums.Store(yes) }

// contentMD5 returns the Content-MD5, in base64, that is sent in place of the CRC-32; "" when the
// CRC-32 is sent. It compares the CRC-32 itself when the store does not.
func (s *Store) contentMD5(data []byte, sum uint32) (string, error) {
	if !s.noChecksums.Load() {
		return "", nil
	}
	if crc32.ChecksumIEEE(data) != sum {
		return "", domain.Errorf(domain.KindStoreFault, "the bytes have another CRC-32")
	}
	whole := md5.Sum(data) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(whole[:]), nil
}
