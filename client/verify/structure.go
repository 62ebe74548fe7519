package verify

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
)

// Layout of ZIP records, from APPNOTE 6.3.10 sections 4.3 and 4.5.
const (
	localHeader   = 30
	centralHeader = 46
	endRecord     = 22
	end64Record   = 56
	locator       = 20

	utf8Flag = 1 << 11

	// Bounds of memory, far above the largest hour.
	maxEntries   = 1_000_000
	maxDirectory = 256 << 20 // bytes
)

// entry is an entry by the central directory, with what the checks found.
type entry struct {
	name   string
	folder int // of the verifier's folders, -1 in the root
	crc    uint32
	size   int64
	offset int64
	flags  uint16
	sum    [32]byte // SHA-256, once read
	data   int64    // offset of the data, once read
	read   bool     // all of its data was read

	inSums     bool // SHA256SUMS has it
	inMetadata bool // metadata.json has it
}

// verifier checks one ZIP.
type verifier struct {
	src     *source
	report  Report
	entries []entry
	index   map[string]int // by name
	folded  map[string]int // by foldName of the name
	folders []string       // of sessions, in the order of their first entries
	byName  map[string]int // index in folders
	end     end
}

// end is the place of the central directory, by the end records.
type end struct {
	entries      uint64
	offset, size int64
	at           int64 // offset of the first end record
}

func (v *verifier) run() {
	if !v.findEnd() || !v.readDirectory() {
		return
	}
	v.checkNames()
	v.readEntries()
	if v.src.err != nil || len(v.entries) == 0 {
		return
	}
	v.checkSums()
	v.checkMetadata()
}

// findEnd reads the end records.
func (v *verifier) findEnd() bool {
	at := v.src.size - endRecord
	b, ok := v.src.bytes(at, endRecord)
	if !ok {
		v.report.AddProblem("", "The file has %d bytes, which is too short for a ZIP.", v.src.size)
		return false
	}
	if string(b[:4]) != "PK\x05\x06" || b[20] != 0 || b[21] != 0 {
		if at = v.searchEnd(); at < 0 {
			v.report.AddProblem("", "The record that ends a ZIP is missing: the file is cut short or no ZIP.")
			return false
		}
		v.report.AddProblem("", "%d bytes follow the record that ends the ZIP.", v.src.size-at-endRecord)
		if b, ok = v.src.bytes(at, endRecord); !ok {
			return false
		}
	}
	le := binary.LittleEndian
	if le.Uint32(b[4:]) != 0 || le.Uint16(b[8:]) != le.Uint16(b[10:]) {
		v.report.AddProblem("", "The ZIP says that it is split over several files.")
	}
	v.end = end{
		entries: uint64(le.Uint16(b[10:])), at: at,
		size: int64(le.Uint32(b[12:])), offset: int64(le.Uint32(b[16:])),
	}
	if v.end.entries == math.MaxUint16 || v.end.size == math.MaxUint32 || v.end.offset == math.MaxUint32 {
		if !v.findEnd64(at) {
			return false
		}
	}
	if v.end.offset < 0 || v.end.size < 0 || v.end.offset > v.end.at || v.end.size != v.end.at-v.end.offset {
		v.report.AddProblem("", "The central directory (%d bytes at %d) does not end where the end record starts (%d).",
			v.end.size, v.end.offset, v.end.at)
		return false
	}
	return true
}

// searchEnd looks for an end record that a comment or other bytes follow.
func (v *verifier) searchEnd() int64 {
	n := min(v.src.size, endRecord+math.MaxUint16)
	tail, ok := v.src.bytes(v.src.size-n, n)
	if !ok {
		return -1
	}
	for i := len(tail) - endRecord; i >= 0; i-- {
		if string(tail[i:i+4]) == "PK\x05\x06" {
			return v.src.size - n + int64(i)
		}
	}
	return -1
}

// findEnd64 reads the ZIP64 end record. Its locator must follow it directly, and the end record
// must follow the locator.
func (v *verifier) findEnd64(at int64) bool {
	le := binary.LittleEndian
	b, ok := v.src.bytes(at-locator-end64Record, end64Record+locator)
	if !ok || string(b[:4]) != "PK\x06\x06" || string(b[end64Record:end64Record+4]) != "PK\x06\x07" {
		v.report.AddProblem("", "The ZIP64 end record is missing where it is needed.")
		return false
	}
	v.end = end{
		entries: le.Uint64(b[32:]), at: at - locator - end64Record,
		size: int64(le.Uint64(b[40:])), offset: int64(le.Uint64(b[48:])),
	}
	if le.Uint64(b[end64Record+8:]) != uint64(v.end.at) || le.Uint64(b[4:]) != end64Record-12 || le.Uint64(b[24:]) != v.end.entries {
		v.report.AddProblem("", "The ZIP64 end records contradict each other.")
	}
	return true
}

// readDirectory reads the central directory.
func (v *verifier) readDirectory() bool {
	if v.end.entries > maxEntries || v.end.size > maxDirectory || v.end.entries > uint64(v.end.size/centralHeader) {
		v.report.AddProblem("", "The ZIP says that it has %d entries in a directory of %d bytes, which is more than can be.", v.end.entries, v.end.size)
		return false
	}
	r := bufio.NewReaderSize(v.src.section(v.end.offset, v.end.size), 64<<10)
	v.entries = make([]entry, 0, min(v.end.entries, 100_000))
	left := v.end.size
	for range v.end.entries {
		n, ok := v.readCentral(r)
		if left -= n; !ok {
			v.report.AddProblem("", "The central directory is broken after entry %d of %d.", len(v.entries), v.end.entries)
			return false
		}
	}
	if left > 0 {
		v.report.AddProblem("", "The central directory has %d bytes more than its %d entries.", left, v.end.entries)
	}
	return true
}

// readCentral reads one header and returns its length.
func (v *verifier) readCentral(r io.Reader) (int64, bool) {
	var b [centralHeader]byte
	if _, err := io.ReadFull(r, b[:]); err != nil || string(b[:4]) != "PK\x01\x02" {
		return 0, false
	}
	le := binary.LittleEndian
	nameSize, extraSize, commentSize := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	rest := make([]byte, nameSize+extraSize+commentSize)
	if _, err := io.ReadFull(r, rest); err != nil {
		return 0, false
	}
	e := entry{
		name: string(rest[:nameSize]), folder: -1, flags: le.Uint16(b[8:]), crc: le.Uint32(b[16:]),
		size: int64(le.Uint32(b[24:])), offset: int64(le.Uint32(b[42:])),
	}
	compressed := int64(le.Uint32(b[20:]))
	extra := zip64Extra(rest[nameSize : nameSize+extraSize])
	for _, field := range []*int64{&e.size, &compressed, &e.offset} {
		if *field == math.MaxUint32 && len(extra) >= 8 {
			*field = int64(le.Uint64(extra))
			extra = extra[8:]
		}
	}
	v.checkCentral(&e, compressed, le.Uint16(b[10:]), commentSize, le.Uint32(b[38:]))
	v.entries = append(v.entries, e)
	return int64(centralHeader + len(rest)), true
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

func (v *verifier) checkCentral(e *entry, compressed int64, method uint16, comment int, attributes uint32) {
	switch {
	case e.flags&1 != 0:
		v.report.AddProblem(e.name, "The entry is encrypted.")
	case e.flags&^utf8Flag != 0:
		v.report.AddProblem(e.name, "The entry has the flags %#04x, which archives never have.", e.flags)
	}
	if method != 0 || compressed != e.size {
		v.report.AddProblem(e.name, "The entry is not stored as it is (method %d, %d bytes packed of %d).", method, compressed, e.size)
	}
	if kind := attributes >> 16 & 0o170000; kind != 0 && kind != 0o100000 {
		v.report.AddProblem(e.name, "The entry is no regular file (mode %o).", attributes>>16)
	}
	if comment != 0 {
		v.report.AddProblem(e.name, "The entry has a comment.")
	}
}
