package verify

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// maxLine is the most bytes of a line in SHA256SUMS: a name in a ZIP has at most 65,535 bytes.
const maxLine = 70 << 10

// sums compares the lines of SHA256SUMS with the entries while these are read. Both have the same
// order, so that it holds one line only.
type sums struct {
	*verifier
	lines *bufio.Scanner // nil when there is no SHA256SUMS, or it can't be read
	line  bool           // name and sum are those of a line that was not compared yet
	name  []byte
	sum   [sha256.Size]byte
}

func (v *verifier) openSums() *sums {
	s := &sums{verifier: v}
	number := v.index.find([]byte(sumsName))
	if number < 0 {
		return s
	}
	h := v.header(number)
	b, ok := v.src.bytes(h.offset, localHeader)
	if !ok {
		return s // the problem is named when the entry itself is read
	}
	data := h.offset + localHeader + int64(binary.LittleEndian.Uint16(b[26:])) + int64(binary.LittleEndian.Uint16(b[28:]))
	if h.size < 0 || h.size > v.end.offset-data {
		return s
	}
	s.lines = bufio.NewScanner(v.src.section(data, h.size))
	s.lines.Buffer(make([]byte, 4<<10), maxLine)
	return s
}

// next goes to the next line, unless there is one that was not compared yet.
func (s *sums) next() bool {
	for !s.line && s.lines.Scan() {
		text := s.lines.Bytes()
		sum, name, ok := bytes.Cut(text, []byte("  "))
		if ok && len(sum) == hex.EncodedLen(sha256.Size) {
			_, err := hex.Decode(s.sum[:], sum)
			s.name, s.line = name, err == nil
		}
		if !s.line {
			s.problem([]byte(sumsName), "The line %.100q is not a checksum and a name.", text)
		}
	}
	return s.line
}

// compare looks for the line of an entry. sum is the SHA-256 of its bytes, if they were read.
func (s *sums) compare(number int, h *header, sum [sha256.Size]byte, read bool) {
	if s.lines == nil {
		return
	}
	for s.next() {
		if !bytes.Equal(s.name, h.name) {
			if s.later(number) {
				break // the line waits for its entry
			}
			continue
		}
		s.line, s.index.entries[number].inSums = false, true
		if read && sum != s.sum {
			s.problem(h.name, "The bytes have the SHA-256 %x, but %s says %x: they are damaged.", sum, sumsName, s.sum)
		}
		return
	}
	s.problem(h.name, "%s has no line for the entry.", sumsName)
}

// later reports whether the line is that of an entry after this one. If not, it says what is wrong
// with the line and drops it.
func (s *sums) later(number int) bool {
	other := s.index.find(s.name)
	switch {
	case string(s.name) == sumsName:
		s.problem(s.name, "The entry lists itself.")
	case other > number:
		return true
	case other < 0:
		s.problem(s.name, "%s has a line for an entry that is not in the ZIP.", sumsName)
	case s.index.entries[other].inSums:
		s.problem(s.name, "%s has two lines for the entry.", sumsName)
	default:
		s.problem(s.name, "The line in %s stands in another order than the entry.", sumsName)
	}
	s.line = false
	return false
}

// finish says what is wrong with the lines after the last entry's.
func (s *sums) finish() {
	if s.lines == nil {
		return
	}
	for s.next() {
		s.later(len(s.index.entries))
	}
	if s.lines.Err() != nil && s.src.err == nil {
		s.problem([]byte(sumsName), "The entry has a line that is too long.")
	}
}
