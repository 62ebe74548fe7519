package domain

import (
	"hash/crc32"
	"testing"
)

func TestCombineCRC32(t *testing.T) {
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	want := crc32.ChecksumIEEE(data)
	for _, cut := range []int{0, 1, 2, 7, 8, 4096, 65_537, 99_999, 100_000} {
		a, b := data[:cut], data[cut:]
		got := CombineCRC32(crc32.ChecksumIEEE(a), crc32.ChecksumIEEE(b), int64(len(b)))
		if got != want {
			t.Errorf("cut at %d: %08x, want %08x", cut, got, want)
		}
	}
}

func FuzzCombineCRC32(f *testing.F) {
	f.Add([]byte("recording"), uint16(3))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		cut := min(int(at), len(data))
		got := CombineCRC32(crc32.ChecksumIEEE(data[:cut]), crc32.ChecksumIEEE(data[cut:]), int64(len(data)-cut))
		if want := crc32.ChecksumIEEE(data); got != want {
			t.Errorf("%08x, want %08x", got, want)
		}
	})
}
