package archiver

import "testing"

// Parts with short and long segments, alone and between headers. The sink compares every part's
// CRC-32 with its bytes.
func TestPartChecksums(t *testing.T) {
	s := newStore()
	entries := []Entry{
		s.add("c", "s", 1, "k/long", longSegment), s.add("c", "s", 2, "k/short", longSegment-1), s.add("c", "s", 3, "k/huge", 5*longSegment+77),
		s.add("c", "s", 4, "k/longer", longSegment+1), s.add("c", "s", 5, "k/small", 9),
	}
	for _, partSize := range []int64{longSegment / 2, longSegment, longSegment + 1, 2*longSegment + 100, 1 << 20, 8 << 20} {
		buildZIP(t, Config{PartSize: partSize}, entries, s.open)
	}
}
