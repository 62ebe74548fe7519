package archiver

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/callvault/callvault/internal/domain"

	"github.com/callvault/callvault/internal/zipformat"
)

// chunkSize is how many bytes of generated text are written at once.
const chunkSize = 64 << 10

// sumLineSize returns the length of an entry's line in SHA256SUMS.
func sumLineSize(r zipformat.Entry) int64 {
	return int64(hex.EncodedLen(sha256.Size) + len("  ") + r.NameSize() + len("\n"))
}

// writeSums writes SHA256SUMS, which has the sums of all other entries. Safe names have no line
// ends and backslashes, so the escapes of sha256sum are not needed.
func (p *layout) writeSums(w io.Writer) error {
	out := bufio.NewWriterSize(w, chunkSize)
	line := func(sum *domain.SHA256, r zipformat.Entry) {
		b := append(hex.AppendEncode(out.AvailableBuffer(), sum[:]), "  "...)
		out.Write(append(r.AppendName(b), '\n'))
	}
	line(&p.metadataSum, p.metadata)
	for i := range p.items {
		line(&p.items[i].sum, p.record(&p.items[i]))
	}
	return out.Flush()
}

// writeDirectory writes the central directory and the records that end a ZIP.
func (p *layout) writeDirectory(w io.Writer) error {
	out := bufio.NewWriterSize(w, chunkSize)
	out.Write(p.metadata.AppendCentral(out.AvailableBuffer()))
	for i := range p.items {
		out.Write(p.record(&p.items[i]).AppendCentral(out.AvailableBuffer()))
	}
	out.Write(p.sums.AppendCentral(out.AvailableBuffer()))
	out.Write(p.end.Append(out.AvailableBuffer()))
	return out.Flush()
}
