package verify

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/zipformat"
)

// header is a header of the central directory.
type header struct {
	name          []byte // valid until the next header is read
	flags, method uint16
	crc           uint32
	size          int64
	compressed    int64
	offset        int64 // of the local header
	comment       int   // bytes
	mode          uint32
	modified      time.Time // as zipformat.Recorded gives it
	raw           []byte    // all its bytes; valid until the next header is read
}

// directory reads the headers of the central directory one after the other.
type directory struct {
	in  io.Reader
	at  int64  // of the next header
	buf []byte // of the last header
}

// directory returns a reader of the central directory from a header on.
func (v *verifier) directory(at int64) *directory {
	return &directory{in: bufio.NewReaderSize(v.src.section(v.end.offset+at, v.end.size-at), 64<<10), at: at}
}

// next reads a header; false when it is broken, or can't be read.
func (d *directory) next(h *header) bool {
	d.buf = slices.Grow(d.buf[:0], centralHeader)
	b := d.buf[:centralHeader]
	if _, err := io.ReadFull(d.in, b); err != nil || string(b[:4]) != "PK\x01\x02" {
		return false
	}
	le := binary.LittleEndian
	nameSize, extraSize, commentSize := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	n := nameSize + extraSize + commentSize
	d.buf = slices.Grow(b, n)
	b = d.buf[:centralHeader+n]
	rest := b[centralHeader:]
	if _, err := io.ReadFull(d.in, rest); err != nil {
		return false
	}
	*h = header{
		name: rest[:nameSize], flags: le.Uint16(b[8:]), method: le.Uint16(b[10:]), crc: le.Uint32(b[16:]),
		compressed: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])), offset: int64(le.Uint32(b[42:])),
		comment: commentSize, mode: le.Uint32(b[38:]) >> 16, raw: b,
	}
	extra := rest[nameSize : nameSize+extraSize]
	h.modified = zipformat.ParseTime(le.Uint16(b[12:]), le.Uint16(b[14:]), extra)
	extra = zip64Extra(extra)
	for _, field := range []*int64{&h.size, &h.compressed, &h.offset} {
		if *field == math.MaxUint32 && len(extra) >= 8 {
			*field = int64(le.Uint64(extra))
			extra = extra[8:]
		}
	}
	d.at += int64(centralHeader + n)
	return true
}

// zip64Extra returns the content of the ZIP64 extra field; nil without one.
func zip64Extra(extra []byte) []byte {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return nil
		}
		if id == 1 {
			return extra[4 : 4+n]
		}
		extra = extra[4+n:]
	}
	return nil
}

// readDirectory checks the headers of the central directory and fills the index.
func (v *verifier) readDirectory() bool {
	if v.end.entries > maxEntries || v.end.size > maxDirectory || v.end.entries > uint64(v.end.size/centralHeader) {
		v.report.AddProblem("", "The ZIP says that it has %d entries in a directory of %d bytes, which is impossible.", v.end.entries, v.end.size)
		return false
	}
	entries := int(v.end.entries)
	v.index = newIndex(entries)
	d := v.directory(0)
	var h header
	for i := range entries {
		at := d.at
		if !d.next(&h) {
			v.report.AddProblem("", "The central directory is broken after entry %d of %d.", i, entries)
			return false
		}
		v.checkHeader(&h)
		v.checkName(&h, uint32(at))
	}
	v.index.folded = nil // not used any more
	if left := v.end.size - d.at; left > 0 {
		v.report.AddProblem("", "The central directory has %d bytes more than its %d entries.", left, entries)
	}
	if entries == 0 {
		v.report.AddProblem("", "The ZIP is empty.")
	}
	return entries > 0
}

// checkHeader checks a header of the central directory, each byte of it.
func (v *verifier) checkHeader(h *header) {
	before := v.problems()
	defer func() {
		if v.problems() == before {
			v.compareBytes(h.name, "header in the central directory", centralFields, h.raw, h.entry().AppendCentral)
		}
	}()
	switch {
	case h.flags&1 != 0:
		v.problem(h.name, "The entry is encrypted.")
	case h.flags&^zipformat.UTF8Flag != 0:
		v.problem(h.name, "The entry has the flags %#04x, which archives never have.", h.flags)
	}
	if h.method != 0 || h.compressed != h.size {
		v.problem(h.name, "The entry is not stored as it is (method %d, %d bytes packed of %d).", h.method, h.compressed, h.size)
	}
	if kind := h.mode & 0o170000; kind != 0 && kind != 0o100000 {
		v.problem(h.name, "The entry is no regular file (mode %o).", h.mode)
	}
	if h.comment != 0 {
		v.problem(h.name, "The entry has a comment.")
	}
}

// header reads the header of an entry once more; its name is "" when that fails.
func (v *verifier) header(number int) (h header) {
	at := int64(v.index.entries[number].at)
	d := directory{in: v.src.section(v.end.offset+at, v.end.size-at)} // unbuffered: it reads one header
	d.next(&h)
	return h
}

// problem adds a problem of an entry. It makes no strings for those that the report only counts.
func (v *verifier) problem(name []byte, format string, args ...any) {
	if v.report.full() {
		v.report.MoreProblems++
		return
	}
	v.report.AddProblem(string(name), format, args...)
}

// problemOf adds a problem of the entry with this number.
func (v *verifier) problemOf(number int, format string, args ...any) {
	if v.report.full() {
		v.report.MoreProblems++
		return
	}
	v.report.AddProblem(string(v.header(number).name), format, args...)
}
