package archiver

import (
	"crypto/sha256"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

func sumOf(data []byte) *domain.SHA256 {
	sum := domain.SHA256(sha256.Sum256(data))
	return &sum
}

// Recordings whose bytes have another SHA-256 or CRC-32 are left out, however many they are and
// however large. Nothing is written after the first was found, and one restart is enough.
func TestOtherSums(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 60, 2000)
	entries = append(entries, s.add("conv", "session", 61, "large.opus", 9000)) // over many parts
	other := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		data := content(e.Key, int(e.Size))
		e.SHA256 = sumOf(data)
		if i%5 == 0 {
			data[i] ^= 1 // its CRC-32 is known where i is even
			s.put(e.Key, data)
			other[e.Key] = true
		}
	}
	for _, cfg := range []Config{{PartSize: 700}, {}} {
		r, zip := buildZIP(t, cfg, entries, s.open)
		if r.Restarts != 1 || len(r.Missing) != len(other) || r.Files != len(entries)-len(other) {
			t.Fatalf("%d restarts, %d missing, %d files", r.Restarts, len(r.Missing), r.Files)
		}
		for _, m := range r.Missing {
			if !other[m.Key] || m.Reason != ChecksumMismatch || m.SHA256 == nil || *m.SHA256 != *sumOf(s.objects[m.Key].data) {
				t.Errorf("missing: %+v", m)
			}
		}
		if _, files := unzip(t, zip); len(files) != r.Files+2 {
			t.Errorf("%d entries", len(files))
		}
	}
}

// A build tells the sums that its entries did not have, with the ETag that all bytes came from.
func TestLearnt(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 4, 2000)
	want := make([]Learnt, 0, 3)
	for i := range entries {
		e := &entries[i]
		stored := s.objects[e.Key]
		sum := sumOf(stored.data)
		if i != 2 {
			e.SHA256 = sum
		}
		if e.ETag = stored.etag; i == 3 {
			e.ETag = "of an earlier object"
		}
		if i >= 2 {
			want = append(want, Learnt{e.Key, e.Size, crc32.ChecksumIEEE(stored.data), *sum, stored.etag})
		}
	}
	for _, cfg := range []Config{{PartSize: 700}, {}} {
		if r, _ := buildZIP(t, cfg, entries, s.open); !slices.Equal(slices.Collect(r.Learnt), want) {
			t.Errorf("learnt: %+v", slices.Collect(r.Learnt))
		}
	}
}
