package objstoretest

import (
	"bytes"
	"hash/crc32"
	"slices"
	"sync"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

func partsOutOfOrder(t *testing.T, f *fixture) {
	const key = "tenant/day/archive.zip"
	data := random(2*minPart + 1234)
	id := f.begin(t, key)
	var parts []objstore.Part
	for _, n := range []int{3, 1, 2} {
		parts = append(parts, f.part(t, key, id, n, data[(n-1)*minPart:min(n*minPart, len(data))]))
	}
	absent(t.Context(), t, f.bucket, key)
	etag, err := f.bucket.Complete(t.Context(), key, id, parts, objstore.CompleteOptions{IfNoneMatch: true})
	if err != nil {
		t.Fatal("complete: ", err)
	}
	f.holds(t, key, data)
	info, err := f.bucket.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(len(data)) || info.ETag != etag || info.ContentType != "application/zip" {
		t.Errorf("%+v, want the ETag %q", info, etag)
	}
	if sum := crc32.ChecksumIEEE(data); info.CRC32 == nil || *info.CRC32 != sum {
		t.Errorf("the store does not tell the whole object's CRC-32 %08x", sum)
	}
	object, err := f.bucket.Get(t.Context(), key, objstore.GetOptions{From: minPart - 5, To: minPart + 5, IfMatch: etag})
	if err != nil {
		t.Fatal("get over a part's border: ", err)
	}
	if got := readAll(t, object); !bytes.Equal(got, data[minPart-5:minPart+5]) {
		t.Error("other bytes over a part's border")
	}
}

func partWrongChecksum(t *testing.T, f *fixture) {
	const key = "a.zip"
	id := f.begin(t, key)
	data := random(1000)
	_, err := f.bucket.PutPart(t.Context(), key, id, 1, data, crc32.ChecksumIEEE(data)+1)
	wantKind(t, "upload a part", err, domain.KindStoreFault)
	_, err = f.bucket.PutPart(t.Context(), key, id, 0, data, crc32.ChecksumIEEE(data))
	wantKind(t, "upload part 0", err, domain.KindInvalid)
	part := f.part(t, key, id, 1, data)
	if _, err := f.bucket.Complete(t.Context(), key, id, []objstore.Part{part}, objstore.CompleteOptions{}); err != nil {
		t.Fatal("complete: ", err)
	}
	f.holds(t, key, data)
}

func partAgain(t *testing.T, f *fixture) {
	const key = "a.zip"
	id := f.begin(t, key)
	data := random(minPart + 10)
	f.part(t, key, id, 1, random(minPart))
	last := f.part(t, key, id, 2, data[minPart:])
	first := f.part(t, key, id, 1, data[:minPart])
	if _, err := f.bucket.Complete(t.Context(), key, id, []objstore.Part{first, last}, objstore.CompleteOptions{}); err != nil {
		t.Fatal("complete: ", err)
	}
	f.holds(t, key, data)
}

func completeNeverOverwrites(t *testing.T, f *fixture) {
	const key = "a.zip"
	id := f.begin(t, key)
	part := f.part(t, key, id, 1, []byte("late"))
	f.put(t, key, []byte("early"))
	_, err := f.bucket.Complete(t.Context(), key, id, []objstore.Part{part}, objstore.CompleteOptions{IfNoneMatch: true})
	wantKind(t, "complete onto an existing key", err, domain.KindConflict)
	f.holds(t, key, []byte("early"))
	if err := f.bucket.Abort(t.Context(), key, id); err != nil {
		t.Error("abort: ", err)
	}
	f.holds(t, key, []byte("early"))
}

func twoCompletes(t *testing.T, f *fixture) {
	const key = "tenant/a.zip"
	const writers = 4
	var ids [writers]string
	var parts [writers]objstore.Part
	for i := range writers {
		ids[i] = f.begin(t, key)
		parts[i] = f.part(t, key, ids[i], 1, bytes.Repeat([]byte{byte(i)}, 100_000))
	}
	var errs [writers]error
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() {
			_, errs[i] = f.bucket.Complete(t.Context(), key, ids[i], parts[i:i+1], objstore.CompleteOptions{IfNoneMatch: true})
		})
	}
	wait.Wait()
	winner := slices.Index(errs[:], nil)
	if winner < 0 {
		t.Fatalf("nobody published: %v", errs)
	}
	for i, err := range errs {
		if i != winner {
			wantKind(t, "the second complete", err, domain.KindConflict)
		}
	}
	f.holds(t, key, bytes.Repeat([]byte{byte(winner)}, 100_000))
}

func finishAgain(t *testing.T, f *fixture) {
	const key = "a.zip"
	id := f.begin(t, key)
	part := f.part(t, key, id, 1, []byte("x"))
	for range 2 {
		if err := f.bucket.Abort(t.Context(), key, id); err != nil {
			t.Error("abort: ", err)
		}
	}
	_, err := f.bucket.PutPart(t.Context(), key, id, 2, []byte("y"), crc32.ChecksumIEEE([]byte("y")))
	wantKind(t, "upload a part after abort", err, domain.KindLost)
	_, err = f.bucket.Complete(t.Context(), key, id, []objstore.Part{part}, objstore.CompleteOptions{})
	wantKind(t, "complete after abort", err, domain.KindLost)
	absent(t.Context(), t, f.bucket, key)

	id = f.begin(t, key)
	part = f.part(t, key, id, 1, []byte("x"))
	if _, err = f.bucket.Complete(t.Context(), key, id, []objstore.Part{part}, objstore.CompleteOptions{}); err != nil {
		t.Fatal("complete: ", err)
	}
	if err := f.bucket.Abort(t.Context(), key, id); err != nil {
		t.Error("abort after complete: ", err)
	}
	f.holds(t, key, []byte("x"))
}

// partMissing: what is published has no gap.
func partMissing(t *testing.T, f *fixture) {
	const key = "a.zip"
	id := f.begin(t, key)
	data := random(2*minPart + 7)
	first, last := f.part(t, key, id, 1, data[:minPart]), f.part(t, key, id, 3, data[2*minPart:])
	never := objstore.Part{Number: 2, ETag: first.ETag, CRC32: first.CRC32, Size: minPart}
	_, err := f.bucket.Complete(t.Context(), key, id, []objstore.Part{first, never, last}, objstore.CompleteOptions{})
	wantKind(t, "complete without a part", err, domain.KindStoreFault)
	absent(t.Context(), t, f.bucket, key)
	second := f.part(t, key, id, 2, data[minPart:2*minPart])
	if _, err := f.bucket.Complete(t.Context(), key, id, []objstore.Part{last, first, second}, objstore.CompleteOptions{}); err != nil {
		t.Fatal("complete: ", err)
	}
	f.holds(t, key, data)
}

// abortAll ends the uploads of one key, and no others.
func abortAll(t *testing.T, f *fixture) {
	other := f.begin(t, "a.zip2")
	part := f.part(t, "a.zip2", other, 1, []byte("x"))
	f.begin(t, "a.zip")
	for range 2 {
		if err := f.bucket.AbortAll(t.Context(), "a.zip"); err != nil {
			t.Error("abort all: ", err)
		}
	}
	if _, err := f.bucket.Complete(t.Context(), "a.zip2", other, []objstore.Part{part}, objstore.CompleteOptions{}); err != nil {
		t.Error("another key's upload: ", err)
	}
	f.holds(t, "a.zip2", []byte("x"))
}
