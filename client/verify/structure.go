package verify

import (
	"encoding/binary"
	"math"

	"github.com/callvault/callvault/internal/zipformat"
)

// Layout of ZIP records, from APPNOTE 6.3.10 sections 4.3 and 4.5.
const (
	localHeader   = 30
	centralHeader = 46
	endRecord     = 22
	end64Record   = 56
	locator       = 20

	// Bounds of memory, far above the largest hour.
	maxEntries   = 1_000_000
	maxDirectory = 256 << 20 // bytes
)

// verifier checks one ZIP.
type verifier struct {
	src      *source
	report   Report
	end      end
	index    *index
	metadata place
	want     []byte // buffer of compareBytes
}

// place is where the data of an entry stands.
type place struct {
	data, size int64
	read       bool // all of it was read
}

// end is the place of the central directory, by the end records.
type end struct {
	entries      uint64
	offset, size int64
	at           int64 // offset of the first end record
}

// append appends the records that end a ZIP with this central directory.
func (e *end) append(b []byte) []byte {
	return zipformat.End{Entries: int64(e.entries), Offset: e.offset, Size: e.size}.Append(b)
}

func (v *verifier) run() {
	if !v.findEnd() || !v.readDirectory() {
		return
	}
	v.checkEnds()
	v.readEntries()
	if v.src.err == nil && v.metadata.read {
		v.checkMetadata()
	}
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
	before := v.problems()
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
	if v.problems() == before {
		records, _ := v.src.bytes(v.end.at, at+endRecord-v.end.at)
		v.compareBytes(nil, "end of the ZIP", nil, records, v.end.append)
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
