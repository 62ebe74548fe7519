package zipformat

import (
	"encoding/binary"
	"math"
)

// End is what the records at the end of a ZIP say of its central directory.
type End struct {
	Entries      int64
	Offset, Size int64 // of the central directory
}

func (e End) zip64() bool {
	return e.Entries >= math.MaxUint16 || e.Offset >= math.MaxUint32 || e.Size >= math.MaxUint32
}

// Length returns how many bytes these records take.
func (e End) Length() int64 {
	if e.zip64() {
		return end64Size + locatorSize + endSize
	}
	return endSize
}

// Append appends the records.
func (e End) Append(b []byte) []byte {
	if e.zip64() {
		b = e.append64(b)
	}
	entries := uint16(min(e.Entries, math.MaxUint16))
	b = binary.LittleEndian.AppendUint32(b, endSignature)
	b = binary.LittleEndian.AppendUint32(b, 0) // disks
	b = binary.LittleEndian.AppendUint16(b, entries)
	b = binary.LittleEndian.AppendUint16(b, entries)
	b = binary.LittleEndian.AppendUint32(b, clamp32(e.Size))
	b = binary.LittleEndian.AppendUint32(b, clamp32(e.Offset))
	return binary.LittleEndian.AppendUint16(b, 0) // comment
}

func (e End) append64(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, end64Signature)
	b = binary.LittleEndian.AppendUint64(b, end64Size-12) // of what follows
	b = binary.LittleEndian.AppendUint16(b, madeByUnix|zip64Version)
	b = binary.LittleEndian.AppendUint16(b, zip64Version)
	b = binary.LittleEndian.AppendUint64(b, 0) // disks
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Entries))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Entries))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Offset))
	b = binary.LittleEndian.AppendUint32(b, locatorSignature)
	b = binary.LittleEndian.AppendUint32(b, 0) // disk of the record above
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Offset+e.Size))
	return binary.LittleEndian.AppendUint32(b, 1) // disks
}
