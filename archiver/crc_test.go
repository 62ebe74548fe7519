package archiver

import "testing"

// Parts of short and long ranges, alone and between headers; the sink compares
// every part's CRC-32 with its bytes.
func TestPartChecksums(t *testing.T) {
	s := newStore()
	entries := []Entry{
		s.add("c", "s", 1, "k/long", longSpan), s.add("c", "s", 2, "k/short", longSpan-1), s.add("c", "s", 3, "k/huge", 5*longSpan+77),
		s.add("c", "s", 4, "k/longer", longSpan+1), s.add("c", "s", 5, "k/small", 9),
	}
	for _, partSize := range []int64{longSpan / 2, longSpan, longSpan + 1, 2*longSpan + 100, 1 << 20, 8 << 20} {
		build1(t, Config{PartSize: partSize}, entries, s.open)
	}
}
