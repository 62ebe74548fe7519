package objstoretest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

func stream(t *testing.T, f *fixture) {
	for name, n := range map[string]int{
		"empty": 0, "small": 1000, "one part": objstore.PartSize, "a byte more": objstore.PartSize + 1,
		"two parts": 2 * objstore.PartSize, "three": 2*objstore.PartSize + 77,
	} {
		data := random(n)
		for _, size := range []int64{int64(n), -1} {
			key := name
			if size < 0 {
				key += ", unknown size"
			}
			stored, err := f.bucket.PutStream(t.Context(), key, iotest.HalfReader(bytes.NewReader(data)), size, opus)
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			if stored.Size != int64(n) || stored.CRC32 != crc32.ChecksumIEEE(data) || stored.SHA256 != sha256.Sum256(data) {
				t.Errorf("%s: stored %+v", key, stored)
			}
			f.holds(t, key, data)
			info, err := f.bucket.Stat(t.Context(), key)
			if err != nil || info.ETag != stored.ETag || info.ContentType != opus || info.CRC32 == nil || *info.CRC32 != stored.CRC32 {
				t.Errorf("%s: %+v, %v, want the ETag %q", key, info, err, stored.ETag)
			}
		}
	}
}

func streamWrongSize(t *testing.T, f *fixture) {
	for _, n := range []int{100, objstore.PartSize + 100} {
		for _, size := range []int{n - 1, n + 1, 0, 3 * objstore.PartSize} {
			_, err := f.bucket.PutStream(t.Context(), "a", bytes.NewReader(random(n)), int64(size), opus)
			wantKind(t, "stream of a wrong size", err, domain.KindInvalid)
			absent(t.Context(), t, f.bucket, "a")
		}
	}
}

func streamFails(t *testing.T, f *fixture) {
	failure := errors.New("the caller hung up")
	for _, n := range []int{100, objstore.PartSize + 100} {
		r := io.MultiReader(bytes.NewReader(random(n)), iotest.ErrReader(failure))
		_, err := f.bucket.PutStream(t.Context(), "a", r, -1, opus)
		if !errors.Is(err, failure) || strings.Count(err.Error(), "could not be read") != 1 {
			t.Errorf("%v does not say once that reading failed", err)
		}
		absent(t.Context(), t, f.bucket, "a")
	}
}

func streamExisting(t *testing.T, f *fixture) {
	f.put(t, "a", []byte("first"))
	for _, n := range []int{100, objstore.PartSize + 100} {
		data := random(n)
		stored, err := f.bucket.PutStream(t.Context(), "a", bytes.NewReader(data), int64(n), opus)
		wantKind(t, "stream onto an existing key", err, domain.KindConflict)
		if stored.Size != int64(n) || stored.CRC32 != crc32.ChecksumIEEE(data) || stored.SHA256 != sha256.Sum256(data) || stored.ETag != "" {
			t.Errorf("the refused bytes are described as %+v", stored)
		}
	}
	f.holds(t, "a", []byte("first"))
}

func streamLittleMemory(t *testing.T, f *fixture) {
	const size = 8*objstore.PartSize + 5
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stored, err := f.bucket.PutStream(t.Context(), "a", io.LimitReader(zeros{}, size), -1, opus)
	runtime.ReadMemStats(&after)
	if err != nil || stored.Size != size {
		t.Fatalf("stored %d bytes, %v", stored.Size, err)
	}
	// All allocated memory, so that the result does not depend on the garbage collector.
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*objstore.PartSize {
		t.Errorf("%d bytes were streamed with %d bytes of memory", size, took)
	}
	info, err := f.bucket.Stat(t.Context(), "a")
	if err != nil || info.Size != size {
		t.Errorf("%+v, %v", info, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
