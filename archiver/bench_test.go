package archiver

import (
	"context"
	"fmt"
	"testing"
)

// discard is a sink that only counts.
type discard struct{}

func (discard) Begin(context.Context, int64, int64, int) error  { return nil }
func (discard) Part(context.Context, int, []byte, uint32) error { return nil }

func BenchmarkBuild(b *testing.B) {
	for _, bb := range []struct{ files, size int }{{70_000, 1}, {1500, 50 << 10}, {60, 8 << 20}} {
		b.Run(fmt.Sprintf("%dx%d", bb.files, bb.size), func(b *testing.B) {
			s := newStore()
			entries := normalHour(s, bb.files, bb.size)
			b.SetBytes(int64(bb.files) * int64(bb.size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Build(b.Context(), Config{}, testHour, entries, s.open, discard{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
