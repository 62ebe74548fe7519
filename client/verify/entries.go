package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
)

// readEntries reads the entries in the order of the central directory. Their data must stand in the
// same order and without gaps. So it reads each byte once, even if a hostile directory names the
// same data many times.
func (v *verifier) readEntries() {
	at := int64(0)
	buf := make([]byte, 256<<10)
	for i := range v.entries {
		e := &v.entries[i]
		if e.offset != at {
			v.report.AddProblem(e.name, "The entry starts at byte %d instead of %d: entries overlap, leave a gap or stand in another order.", e.offset, at)
		}
		if e.offset < at {
			continue
		}
		next := v.readEntry(e, buf)
		if v.src.err != nil {
			return
		}
		at = max(at, next)
	}
	if at != v.end.offset {
		v.report.AddProblem("", "The central directory starts at byte %d, but the last entry ends at %d.", v.end.offset, at)
	}
}

// readEntry compares the local header and reads the data. It returns where the data ends, or 0 when
// the header is wrong.
func (v *verifier) readEntry(e *entry, buf []byte) int64 {
	b, ok := v.src.bytes(e.offset, localHeader)
	if !ok || string(b[:4]) != "PK\x03\x04" {
		v.report.AddProblem(e.name, "There is no local header at byte %d.", e.offset)
		return 0
	}
	le := binary.LittleEndian
	nameSize, extraSize := int64(le.Uint16(b[26:])), int64(le.Uint16(b[28:]))
	rest, ok := v.src.bytes(e.offset+localHeader, nameSize+extraSize)
	if !ok {
		v.report.AddProblem(e.name, "The local header is cut short.")
		return 0
	}
	v.compareLocal(e, b, string(rest[:nameSize]), zip64Extra(rest[nameSize:]))
	data := e.offset + localHeader + nameSize + extraSize
	if e.size < 0 || e.size > v.end.offset-data {
		v.report.AddProblem(e.name, "The entry's %d bytes reach beyond where the central directory starts.", e.size)
		return 0
	}
	crc, sha := crc32.NewIEEE(), sha256.New()
	if _, err := io.CopyBuffer(io.MultiWriter(crc, sha), plainReader{v.src.section(data, e.size)}, buf); err != nil {
		return 0
	}
	if crc.Sum32() != e.crc {
		v.report.AddProblem(e.name, "The bytes have the CRC-32 %08x, but the ZIP says %08x: they are damaged.", crc.Sum32(), e.crc)
	}
	sha.Sum(e.sum[:0])
	e.data, e.read = data, true
	return data + e.size
}

// plainReader hides other methods of a reader, so that io.CopyBuffer uses the buffer.
type plainReader struct{ io.Reader }

// compareLocal compares a local header with the central one.
func (v *verifier) compareLocal(e *entry, b []byte, name string, extra []byte) {
	le := binary.LittleEndian
	size, compressed := int64(le.Uint32(b[22:])), int64(le.Uint32(b[18:]))
	if size == math.MaxUint32 && compressed == math.MaxUint32 && len(extra) >= 16 {
		size, compressed = int64(le.Uint64(extra)), int64(le.Uint64(extra[8:]))
	}
	switch {
	case name != e.name:
		v.report.AddProblem(e.name, "The local header has another name, %q.", name)
	case le.Uint16(b[6:]) != e.flags || le.Uint16(b[8:]) != 0:
		v.report.AddProblem(e.name, "The local header has other flags or another method.")
	case size != e.size || compressed != e.size:
		v.report.AddProblem(e.name, "The local header says %d bytes and the directory %d.", size, e.size)
	case le.Uint32(b[14:]) != e.crc:
		v.report.AddProblem(e.name, "The local header has another CRC-32 than the directory.")
	}
}
