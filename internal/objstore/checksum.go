package objstore

import (
	"crypto/md5" //nolint:gosec // S3's own check of what arrives, where a store knows no other
	"encoding/base64"
	"hash/crc32"

	"github.com/callvault/callvault/internal/domain"
)

// DoWithoutChecksums switches S3's checksum headers off or on again, from the
// next request on. It is for stores that refuse them. Content-MD5, which is
// older, then protects the bytes in transit, and Stat gives no CRC-32.
func (s *Store) DoWithoutChecksums(yes bool) { s.noChecksums.Store(yes) }

// contentMD5 gives the Content-MD5 that is sent in place of the CRC-32, in
// base64; "" where the CRC-32 is sent. Without it the CRC-32 is compared here.
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
