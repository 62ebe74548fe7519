package archiver

import (
	"encoding/binary"
	"math"
	"time"
)

// Layout of ZIP records, from APPNOTE 6.3.10 sections 4.3 and 4.5.
const (
	localSignature   = 0x04034b50
	centralSignature = 0x02014b50
	endSignature     = 0x06054b50
	end64Signature   = 0x06064b50
	locatorSignature = 0x07064b50

	localSize   = 30
	centralSize = 46
	endSize     = 22
	end64Size   = 56
	locatorSize = 20
	crcOffset   = 14 // of the CRC-32 in a local header
	crcSize     = 4

	plainVersion = 20
	zip64Version = 45
	madeByUnix   = 3 << 8
	regularFile  = 0o100644 << 16
	utf8Flag     = 1 << 11

	zip64ExtraID = 0x0001
	timeExtraID  = 0x5455
	timeExtra    = 9 // id, size, flags, seconds
)

// record is what both headers of an entry say.
type record struct {
	folder, file string // folder is "" in the root
	size, offset int64
	crc          uint32
	modified     time.Time
}

func (r record) nameSize() int {
	if r.folder == "" {
		return len(r.file)
	}
	return len(r.folder) + 1 + len(r.file)
}

func (r record) appendName(b []byte) []byte {
	if r.folder != "" {
		b = append(append(b, r.folder...), '/')
	}
	return append(b, r.file...)
}

func (r record) zip64Size() bool   { return r.size >= math.MaxUint32 }
func (r record) zip64Offset() bool { return r.offset >= math.MaxUint32 }

// unixTime returns the time for the extra field. It gives false for times before 1970 and from
// 2038 on, because programs disagree about the field's sign.
func (r record) unixTime() (uint32, bool) {
	s := r.modified.Unix()
	return uint32(s), s >= 0 && s <= math.MaxInt32
}

func (r record) localSize() int64 {
	n := localSize + r.nameSize()
	if r.zip64Size() {
		n += 4 + 16
	}
	if _, ok := r.unixTime(); ok {
		n += timeExtra
	}
	return int64(n)
}

func (r record) centralSize() int64 {
	n := centralSize + r.nameSize()
	if wide := r.centralZIP64(); wide > 0 {
		n += 4 + wide
	}
	if _, ok := r.unixTime(); ok {
		n += timeExtra
	}
	return int64(n)
}

// centralZIP64 returns the size of the ZIP64 values in the central header.
func (r record) centralZIP64() int {
	n := 0
	if r.zip64Size() {
		n += 16
	}
	if r.zip64Offset() {
		n += 8
	}
	return n
}

func (r record) appendLocal(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, localSignature)
	b = r.appendCommon(b)
	extra := r.localSize() - localSize - int64(r.nameSize())
	b = binary.LittleEndian.AppendUint16(b, uint16(extra))
	b = r.appendName(b)
	if r.zip64Size() {
		b = binary.LittleEndian.AppendUint16(b, zip64ExtraID)
		b = binary.LittleEndian.AppendUint16(b, 16)
		b = binary.LittleEndian.AppendUint64(b, uint64(r.size))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.size))
	}
	return r.appendTimeExtra(b)
}

func (r record) appendCentral(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, centralSignature)
	b = binary.LittleEndian.AppendUint16(b, madeByUnix|zip64Version)
	b = r.appendCommon(b)
	extra := r.centralSize() - centralSize - int64(r.nameSize())
	b = binary.LittleEndian.AppendUint16(b, uint16(extra))
	b = binary.LittleEndian.AppendUint16(b, 0) // comment
	b = binary.LittleEndian.AppendUint16(b, 0) // disk
	b = binary.LittleEndian.AppendUint16(b, 0) // internal attributes
	b = binary.LittleEndian.AppendUint32(b, regularFile)
	b = binary.LittleEndian.AppendUint32(b, clamp32(r.offset))
	b = r.appendName(b)
	if wide := r.centralZIP64(); wide > 0 {
		b = binary.LittleEndian.AppendUint16(b, zip64ExtraID)
		b = binary.LittleEndian.AppendUint16(b, uint16(wide))
		if r.zip64Size() {
			b = binary.LittleEndian.AppendUint64(b, uint64(r.size))
			b = binary.LittleEndian.AppendUint64(b, uint64(r.size))
		}
		if r.zip64Offset() {
			b = binary.LittleEndian.AppendUint64(b, uint64(r.offset))
		}
	}
	return r.appendTimeExtra(b)
}

// appendCommon appends the fields that both headers share, from the version needed to the length
// of the name.
func (r record) appendCommon(b []byte) []byte {
	version := uint16(plainVersion)
	if r.zip64Size() || r.zip64Offset() {
		version = zip64Version
	}
	clock, date := dosTime(r.modified)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, r.flags())
	b = binary.LittleEndian.AppendUint16(b, 0) // stored
	b = binary.LittleEndian.AppendUint16(b, clock)
	b = binary.LittleEndian.AppendUint16(b, date)
	b = binary.LittleEndian.AppendUint32(b, r.crc)
	b = binary.LittleEndian.AppendUint32(b, clamp32(r.size))
	b = binary.LittleEndian.AppendUint32(b, clamp32(r.size))
	return binary.LittleEndian.AppendUint16(b, uint16(r.nameSize()))
}

func (r record) flags() uint16 {
	for _, s := range [...]string{r.folder, r.file} {
		for i := range len(s) {
			if s[i] >= 0x80 {
				return utf8Flag
			}
		}
	}
	return 0
}

func (r record) appendTimeExtra(b []byte) []byte {
	seconds, ok := r.unixTime()
	if !ok {
		return b
	}
	b = binary.LittleEndian.AppendUint16(b, timeExtraID)
	b = binary.LittleEndian.AppendUint16(b, timeExtra-4)
	b = append(b, 1) // only the time of modification
	return binary.LittleEndian.AppendUint32(b, seconds)
}

// dosTime returns t in UTC in MS-DOS format, which has a precision of two seconds, clamped to the
// years of the format.
func dosTime(t time.Time) (clock, date uint16) {
	t = t.UTC()
	switch year := t.Year(); {
	case year < 1980:
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	case year > 2107:
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	clock = uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
	date = uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
	return clock, date
}

func clamp32(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }

// endRecords is what the records at the end of a ZIP say of its central directory.
type endRecords struct {
	entries      int64
	offset, size int64 // of the central directory
}

func (e endRecords) zip64() bool {
	return e.entries >= math.MaxUint16 || e.offset >= math.MaxUint32 || e.size >= math.MaxUint32
}

func (e endRecords) length() int64 {
	if e.zip64() {
		return end64Size + locatorSize + endSize
	}
	return endSize
}

func (e endRecords) append(b []byte) []byte {
	if e.zip64() {
		b = e.append64(b)
	}
	entries := uint16(min(e.entries, math.MaxUint16))
	b = binary.LittleEndian.AppendUint32(b, endSignature)
	b = binary.LittleEndian.AppendUint32(b, 0) // disks
	b = binary.LittleEndian.AppendUint16(b, entries)
	b = binary.LittleEndian.AppendUint16(b, entries)
	b = binary.LittleEndian.AppendUint32(b, clamp32(e.size))
	b = binary.LittleEndian.AppendUint32(b, clamp32(e.offset))
	return binary.LittleEndian.AppendUint16(b, 0) // comment
}

func (e endRecords) append64(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, end64Signature)
	b = binary.LittleEndian.AppendUint64(b, end64Size-12) // of what follows
	b = binary.LittleEndian.AppendUint16(b, madeByUnix|zip64Version)
	b = binary.LittleEndian.AppendUint16(b, zip64Version)
	b = binary.LittleEndian.AppendUint64(b, 0) // disks
	b = binary.LittleEndian.AppendUint64(b, uint64(e.entries))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.entries))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.size))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.offset))
	b = binary.LittleEndian.AppendUint32(b, locatorSignature)
	b = binary.LittleEndian.AppendUint32(b, 0) // disk of the record above
	b = binary.LittleEndian.AppendUint64(b, uint64(e.offset+e.size))
	return binary.LittleEndian.AppendUint32(b, 1) // disks
}
