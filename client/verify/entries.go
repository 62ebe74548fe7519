package verify

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
	"math"
)

// entryReader reads entries in the order in which they stand in the ZIP.
type entryReader struct {
	*verifier
	in  *bufio.Reader
	at  int64 // of the next byte of in
	buf []byte
	sha hash.Hash
	sum [sha256.Size]byte // SHA-256 of the entry that was read last
}

// readEntries reads the entries in the order of the central directory. Their data must stand in the
// same order and without gaps. So it reads each byte once, even if a hostile directory names the
// same data many times.
func (v *verifier) readEntries() {
	in := bufio.NewReaderSize(v.src.section(0, v.src.size), 64<<10)
	r := &entryReader{verifier: v, in: in, buf: make([]byte, 256<<10), sha: sha256.New()}
	d := v.directory(0)
	sums := v.openSums()
	metadataAt, sumsAt := v.index.find([]byte(metadataName)), v.index.find([]byte(sumsName))
	at := int64(0) // where the next entry should start
	var h header
	for i := range v.index.entries {
		if !d.next(&h) {
			return
		}
		if h.offset != at {
			v.problem(h.name, "The entry starts at byte %d instead of %d: entries overlap, leave a gap or stand in another order.", h.offset, at)
		}
		var data place
		if h.offset >= at {
			data, at = r.read(&h)
		}
		if v.src.err != nil {
			return
		}
		switch i {
		case metadataAt:
			v.metadata = data
			sums.compare(i, &h, r.sum, data.read)
		case sumsAt:
			if data.read {
				v.report.ManifestSHA256 = hex.EncodeToString(r.sum[:])
			}
		default:
			sums.compare(i, &h, r.sum, data.read)
			if data.read {
				v.report.Bytes += data.size
			}
		}
	}
	if at != v.end.offset {
		v.report.AddProblem("", "The central directory starts at byte %d, but the last entry ends at %d.", v.end.offset, at)
	}
	sums.finish()
}

// read compares the local header of an entry and reads its data. It returns where the data stands
// and where the next entry should start, which is behind every byte that it has read.
func (r *entryReader) read(h *header) (data place, next int64) {
	r.skip(min(h.offset, r.src.size))
	b := r.buf[:localHeader]
	if !r.fill(b) || string(b[:4]) != "PK\x03\x04" {
		r.problem(h.name, "There is no local header at byte %d.", h.offset)
		return place{}, r.at
	}
	le := binary.LittleEndian
	nameSize, extraSize := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	b = r.buf[:localHeader+nameSize+extraSize]
	if !r.fill(b[localHeader:]) {
		r.problem(h.name, "The local header is cut short.")
		return place{}, r.at
	}
	r.compareLocal(h, b)
	if h.size < 0 || h.size > r.end.offset-r.at {
		r.problem(h.name, "The entry's %d bytes reach beyond where the central directory starts.", h.size)
		return place{}, r.at
	}
	data = place{data: r.at, size: h.size}
	crc := uint32(0)
	r.sha.Reset()
	for left := h.size; left > 0; {
		b := r.buf[:min(left, int64(len(r.buf)))]
		if !r.fill(b) {
			return data, r.at
		}
		crc = crc32.Update(crc, crc32.IEEETable, b)
		r.sha.Write(b)
		left -= int64(len(b))
	}
	if crc != h.crc {
		r.problem(h.name, "The bytes have the CRC-32 %08x, but the ZIP says %08x: they are damaged.", crc, h.crc)
	}
	r.sha.Sum(r.sum[:0])
	data.read = true
	return data, r.at
}

// skip goes on to a later byte. It does not read a gap, unless that is shorter than what the buffer
// reads at once: else many short gaps would make it read the same bytes again and again.
func (r *entryReader) skip(to int64) {
	if gap := to - r.at; gap <= int64(r.in.Size()) {
		n, _ := r.in.Discard(int(gap)) // at the end of the ZIP the next read fails
		r.at += int64(n)
		return
	}
	r.at = to
	r.in.Reset(r.src.section(to, r.src.size-to))
}

// fill reads the next bytes; false at the end of the ZIP, or when they can't be read.
func (r *entryReader) fill(b []byte) bool {
	n, err := io.ReadFull(r.in, b)
	r.at += int64(n)
	return err == nil
}

// compareLocal compares a local header with the central one, and each byte with what it should be.
func (v *verifier) compareLocal(h *header, b []byte) {
	le := binary.LittleEndian
	nameSize := int(le.Uint16(b[26:]))
	name, extra := b[localHeader:localHeader+nameSize], zip64Extra(b[localHeader+nameSize:])
	size, compressed := int64(le.Uint32(b[22:])), int64(le.Uint32(b[18:]))
	if size == math.MaxUint32 && compressed == math.MaxUint32 && len(extra) >= 16 {
		size, compressed = int64(le.Uint64(extra)), int64(le.Uint64(extra[8:]))
	}
	switch {
	case !bytes.Equal(name, h.name):
		v.problem(h.name, "The local header has another name, %.200q.", name)
	case le.Uint16(b[6:]) != h.flags || le.Uint16(b[8:]) != 0:
		v.problem(h.name, "The local header has other flags or another method.")
	case size != h.size || compressed != h.size:
		v.problem(h.name, "The local header says %d bytes and the directory %d.", size, h.size)
	case le.Uint32(b[14:]) != h.crc:
		v.problem(h.name, "The local header has another CRC-32 than the directory.")
	default:
		v.compareBytes(h.name, "local header", localFields, b, h.entry().AppendLocal)
	}
}
