package zipformat

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

	plainVersion = 20
	zip64Version = 45
	madeByUnix   = 3 << 8
	regularFile  = 0o100644 << 16

	zip64ExtraID = 0x0001
	timeExtraID  = 0x5455
	timeExtra    = 9 // id, size, flags, seconds
)

// What other packages need of the layout.
const (
	CRCOffset = 14 // of the CRC-32 in a local header
	CRCSize   = 4
	UTF8Flag  = 1 << 11

	// HeadersSize is the most bytes of an entry's two headers, without its names.
	HeadersSize = localSize + 4 + 16 + timeExtra + centralSize + 4 + 24 + timeExtra
)

// Entry is what both headers of an entry say.
type Entry struct {
	Folder, File string // the parts of its name; Folder is "" in the root
	Size, Offset int64  // Offset is that of the local header
	CRC          uint32
	Modified     time.Time
}

// NameSize returns the length of the name.
func (e Entry) NameSize() int {
	if e.Folder == "" {
		return len(e.File)
	}
	return len(e.Folder) + 1 + len(e.File)
}

// AppendName appends the name.
func (e Entry) AppendName(b []byte) []byte {
	if e.Folder != "" {
		b = append(append(b, e.Folder...), '/')
	}
	return append(b, e.File...)
}

func (e Entry) zip64Size() bool   { return e.Size >= math.MaxUint32 }
func (e Entry) zip64Offset() bool { return e.Offset >= math.MaxUint32 }

// LocalSize returns the length of the local header, which stands before the data.
func (e Entry) LocalSize() int64 {
	n := localSize + e.NameSize()
	if e.zip64Size() {
		n += 4 + 16
	}
	if _, ok := e.unixTime(); ok {
		n += timeExtra
	}
	return int64(n)
}

// CentralSize returns the length of the header in the central directory.
func (e Entry) CentralSize() int64 {
	n := centralSize + e.NameSize()
	if wide := e.centralZIP64(); wide > 0 {
		n += 4 + wide
	}
	if _, ok := e.unixTime(); ok {
		n += timeExtra
	}
	return int64(n)
}

// centralZIP64 returns the size of the ZIP64 values in the central header.
func (e Entry) centralZIP64() int {
	n := 0
	if e.zip64Size() {
		n += 16
	}
	if e.zip64Offset() {
		n += 8
	}
	return n
}

// AppendLocal appends the local header.
func (e Entry) AppendLocal(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, localSignature)
	b = e.appendCommon(b)
	extra := e.LocalSize() - localSize - int64(e.NameSize())
	b = binary.LittleEndian.AppendUint16(b, uint16(extra))
	b = e.AppendName(b)
	if e.zip64Size() {
		b = binary.LittleEndian.AppendUint16(b, zip64ExtraID)
		b = binary.LittleEndian.AppendUint16(b, 16)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
	}
	return e.appendTimeExtra(b)
}

// AppendCentral appends the header in the central directory.
func (e Entry) AppendCentral(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, centralSignature)
	b = binary.LittleEndian.AppendUint16(b, madeByUnix|zip64Version)
	b = e.appendCommon(b)
	extra := e.CentralSize() - centralSize - int64(e.NameSize())
	b = binary.LittleEndian.AppendUint16(b, uint16(extra))
	b = binary.LittleEndian.AppendUint16(b, 0) // comment
	b = binary.LittleEndian.AppendUint16(b, 0) // disk
	b = binary.LittleEndian.AppendUint16(b, 0) // internal attributes
	b = binary.LittleEndian.AppendUint32(b, regularFile)
	b = binary.LittleEndian.AppendUint32(b, clamp32(e.Offset))
	b = e.AppendName(b)
	if wide := e.centralZIP64(); wide > 0 {
		b = binary.LittleEndian.AppendUint16(b, zip64ExtraID)
		b = binary.LittleEndian.AppendUint16(b, uint16(wide))
		if e.zip64Size() {
			b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
			b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
		}
		if e.zip64Offset() {
			b = binary.LittleEndian.AppendUint64(b, uint64(e.Offset))
		}
	}
	return e.appendTimeExtra(b)
}

// appendCommon appends the fields that both headers share, from the version needed to the length
// of the name.
func (e Entry) appendCommon(b []byte) []byte {
	version := uint16(plainVersion)
	if e.zip64Size() || e.zip64Offset() {
		version = zip64Version
	}
	clock, date := dosTime(e.Modified)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, e.flags())
	b = binary.LittleEndian.AppendUint16(b, 0) // stored
	b = binary.LittleEndian.AppendUint16(b, clock)
	b = binary.LittleEndian.AppendUint16(b, date)
	b = binary.LittleEndian.AppendUint32(b, e.CRC)
	b = binary.LittleEndian.AppendUint32(b, clamp32(e.Size))
	b = binary.LittleEndian.AppendUint32(b, clamp32(e.Size))
	return binary.LittleEndian.AppendUint16(b, uint16(e.NameSize()))
}

func (e Entry) flags() uint16 {
	for _, s := range [...]string{e.Folder, e.File} {
		for i := range len(s) {
			if s[i] >= 0x80 {
				return UTF8Flag
			}
		}
	}
	return 0
}

func clamp32(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }
