package archiver

import (
	"hash/crc32"

	"github.com/callvault/callvault/internal/domain"
)

// longSegment is from how many bytes on it costs less to combine two CRC-32 than to compute one
// again.
const longSegment = 256 << 10

// checksum returns the CRC-32 of a filled part. It takes that of long segments from when they were
// read, so that the store also notices bytes that were damaged in memory.
func (p *part) checksum() uint32 {
	var sum uint32
	at := 0
	for _, s := range p.longSegments {
		sum = crc32.Update(sum, crc32.IEEETable, p.buf[at:s.at])
		sum = domain.CombineCRC32(sum, s.crc, int64(len(s.data)))
		at = s.at + len(s.data)
	}
	return crc32.Update(sum, crc32.IEEETable, p.buf[at:])
}
