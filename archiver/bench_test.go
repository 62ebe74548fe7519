package archiver

import (
	"context"
	"fmt"
	"testing"
)

// discardSink is a sink that drops all parts.
type discardSink struct{}

func (discardSink) Begin(context.Context, int64, int64, int) error  { return nil }
func (discardSink) Part(context.Context, int, []byte, uint32) error { return nil }

func BenchmarkBuild(b *testing.B) {
	for _, bb := range []struct{ files, size int }{{70_000, 1}, {1500, 50 << 10}, {60, 8 << 20}} {
		b.Run(fmt.Sprintf("%dx%d", bb.files, bb.size), func(b *testing.B) {
			s := newStore()
			entries := normalHour(s, bb.files, bb.size)
			b.SetBytes(int64(bb.files) * int64(bb.size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Build(b.Context(), Config{}, testHour, entries, s.open, discardSink{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
