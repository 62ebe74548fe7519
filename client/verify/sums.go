package verify

import (
	"bufio"
	"encoding/hex"
	"strings"
)

// maxLine is the most bytes of a line in SHA256SUMS: a name in a ZIP has at most 65,535 bytes.
const maxLine = 70 << 10

// find returns an entry that every archive must have; false when it is missing or was not read.
func (v *verifier) find(name string) (*entry, bool) {
	i, ok := v.index[name]
	if !ok {
		v.report.AddProblem("", "The ZIP has no %s.", name)
		return nil, false
	}
	return &v.entries[i], v.entries[i].read
}

// checkSums checks that SHA256SUMS has one line for each other entry, no other lines, and the right
// sums.
func (v *verifier) checkSums() {
	e, ok := v.find(sumsName)
	if !ok {
		return
	}
	v.report.ManifestSHA256 = hex.EncodeToString(e.sum[:])
	e.inSums = true // it can't list itself
	lines := bufio.NewScanner(v.src.section(e.data, e.size))
	lines.Buffer(make([]byte, 4<<10), maxLine)
	for lines.Scan() {
		v.checkLine(lines.Text())
	}
	if lines.Err() != nil {
		v.report.AddProblem(sumsName, "The entry has a line that is too long.")
	}
	for i := range v.entries {
		if e := &v.entries[i]; !e.inSums {
			v.report.AddProblem(e.name, "%s has no line for the entry.", sumsName)
		}
	}
}

func (v *verifier) checkLine(line string) {
	sum, name, ok := strings.Cut(line, "  ")
	want, err := hex.DecodeString(sum)
	if !ok || err != nil || len(want) != 32 {
		v.report.AddProblem(sumsName, "The line %.100q is not a checksum and a name.", line)
		return
	}
	i, ok := v.index[name]
	switch {
	case !ok:
		v.report.AddProblem(name, "%s has a line for an entry that is not in the ZIP.", sumsName)
	case name == sumsName:
		v.report.AddProblem(sumsName, "The entry lists itself.")
	case v.entries[i].inSums:
		v.report.AddProblem(name, "%s has two lines for the entry.", sumsName)
	default:
		v.entries[i].inSums = true
		if v.entries[i].read && [32]byte(want) != v.entries[i].sum {
			v.report.AddProblem(name, "The bytes have the SHA-256 %x, but %s says %x: they are damaged.", v.entries[i].sum, sumsName, want)
		}
	}
}
