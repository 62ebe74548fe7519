package archiver

import (
	"hash/crc32"

	"github.com/callvault/callvault/internal/crc"
)

// longSpan is from how many bytes on combining two CRC-32 costs less than
// computing one again.
const longSpan = 256 << 10

// checksum returns the CRC-32 of a filled part. Its long spans have theirs
// from being read, so that damage in between is noticed by the store as well.
func (p *part) checksum() uint32 {
	var sum uint32
	at := 0
	for _, s := range p.long {
		sum = crc32.Update(sum, crc32.IEEETable, p.buf[at:s.at])
		sum = crc.Combine(sum, s.crc, int64(len(s.data)))
		at = s.at + len(s.data)
	}
	return crc32.Update(sum, crc32.IEEETable, p.buf[at:])
}
