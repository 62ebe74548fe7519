package verify

import (
	"bytes"

	"github.com/callvault/callvault/internal/zipformat"
)

// field is a field of a header, from its first byte on.
type field struct {
	from int
	name string
}

//nolint:gochecknoglobals // tables
var (
	localFields = []field{
		{4, "version"}, {6, "flags"}, {8, "method"}, {10, "time"}, {14, "CRC-32"}, {18, "sizes"}, {26, "lengths"},
		{localHeader, "name and extra fields"},
	}
	centralFields = []field{
		{4, "versions"}, {8, "flags"}, {10, "method"}, {12, "time"}, {16, "CRC-32"}, {20, "sizes"}, {28, "lengths"},
		{34, "disk"}, {36, "attributes"}, {42, "offset"}, {centralHeader, "name and extra fields"},
	}
)

// entry is what both headers of the entry say in an archive of callvault's.
func (h *header) entry() zipformat.Entry {
	return zipformat.Entry{File: string(h.name), Size: h.size, Offset: h.offset, CRC: h.crc, Modified: h.modified}
}

// compareBytes compares the bytes of a header, or of the end records, with what archives have.
func (v *verifier) compareBytes(entry []byte, what string, fields []field, got []byte, want func([]byte) []byte) {
	v.want = want(v.want[:0])
	if bytes.Equal(got, v.want) {
		return
	}
	at := 0
	for at < len(got) && at < len(v.want) && got[at] == v.want[at] {
		at++
	}
	name := ""
	for _, f := range fields {
		if f.from <= at {
			name = " (" + f.name + ")"
		}
	}
	v.problem(entry, "The %s is not as archives have it, from its byte %d on%s.", what, at, name)
}

// problems counts the problems that were found so far.
func (v *verifier) problems() int { return len(v.report.Problems) + v.report.MoreProblems }
