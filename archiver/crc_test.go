package archiver

import (
	"hash/crc32"
	"testing"
)

func TestCombineCRC(t *testing.T) {
	data := content("crc", 100_000)
	want := crc32.ChecksumIEEE(data)
	for _, cut := range []int{0, 1, 2, 7, 8, 4096, 65_537, 99_999, 100_000} {
		a, b := data[:cut], data[cut:]
		got := combineCRC(crc32.ChecksumIEEE(a), crc32.ChecksumIEEE(b), int64(len(b)))
		if got != want {
			t.Errorf("cut at %d: %08x, want %08x", cut, got, want)
		}
	}
}

func FuzzCombineCRC(f *testing.F) {
	f.Add([]byte("recording"), uint16(3))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		cut := min(int(at), len(data))
		got := combineCRC(crc32.ChecksumIEEE(data[:cut]), crc32.ChecksumIEEE(data[cut:]), int64(len(data)-cut))
		if want := crc32.ChecksumIEEE(data); got != want {
			t.Errorf("%08x, want %08x", got, want)
		}
	})
}

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
