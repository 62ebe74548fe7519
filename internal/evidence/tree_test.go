package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/domain"
)

// memory has tiles by level and number.
type memory map[[2]int64][]byte

func (m memory) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	data, ok := m[[2]int64{int64(level), n}]
	if !ok {
		return nil, domain.Errorf(domain.KindNotFound, "no tile %d of level %d", n, level)
	}
	return data, nil
}

func leaves(from, n int64) (out []tlog.Hash) {
	for i := range n {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(from+i)))
		out = append(out, tlog.RecordHash(sum[:]))
	}
	return out
}

// The tiles give the same tree as the library's stored hashes, however it grew.
func TestTree(t *testing.T) {
	tiles := memory{}
	var stored []tlog.Hash
	reference := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	size := int64(0)
	for size < 70_000 {
		n := min(rand.Int64N(600), 70_000-size)
		if size > 2000 {
			n *= 20
		}
		next := leaves(size, n)
		grown, err := newTree(t.Context(), tiles).grow(size, next)
		if err != nil {
			t.Fatal(err)
		}
		for _, tile := range grown {
			tiles[[2]int64{int64(tile.Level), tile.N}] = tile.Hashes
		}
		for i, h := range next {
			more, err := tlog.StoredHashesForRecordHash(size+int64(i), h, reference)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
		}
		size += n
		for range 5 {
			some := 1 + rand.Int64N(size)
			want, err := tlog.TreeHash(some, reference)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tlog.TreeHash(some, newTree(t.Context(), tiles))
			if err != nil || got != want {
				t.Fatalf("%d of %d leaves: %v, want %v; error %v", some, size, got, want, err)
			}
		}
	}
}
