package objstore_test

import (
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// TestRemoveMatchOfVersions: in a bucket that keeps versions, the version that is meant goes with
// what was before it, and what was written after it stays.
func TestRemoveMatchOfVersions(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	store, client := objstoretest.Open(t, cfg), s3(t, cfg)
	bucket := store.Recordings()
	if err := client.EnableVersioning(t.Context(), cfg.Recordings); err != nil {
		t.Fatal(err)
	}
	put := func(text string) objstore.Match {
		t.Helper()
		info, err := client.PutObject(t.Context(), cfg.Recordings, "a/1", strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return objstore.Match{ETag: info.ETag, VersionID: info.VersionID}
	}
	left := func(want int) {
		t.Helper()
		n := 0
		for v := range client.ListObjectsIter(t.Context(), cfg.Recordings, minio.ListObjectsOptions{Prefix: "a/1", WithVersions: true}) {
			if n++; v.Err != nil {
				t.Fatal(v.Err)
			}
		}
		if n != want {
			t.Errorf("%d versions are left, want %d", n, want)
		}
	}
	hide := func() {
		t.Helper()
		if err := client.RemoveObject(t.Context(), cfg.Recordings, "a/1", minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("first")
	hide()
	meant := put("meant")
	hide()
	if err := bucket.RemoveMatch(t.Context(), "a/1", objstore.Match{ETag: meant.ETag}); err != nil {
		t.Error(err)
	}
	left(0)

	put("first")
	meant = put("the same bytes")
	put("the same bytes") // written anew
	if err := bucket.RemoveMatch(t.Context(), "a/1", meant); domain.KindOf(err) != domain.KindConflict {
		t.Errorf("newer bytes: error %v, want conflict", err)
	}
	left(1)
	if err := bucket.RemoveMatch(t.Context(), "a/1", meant); domain.KindOf(err) != domain.KindConflict {
		t.Errorf("only newer bytes: error %v, want conflict", err)
	}
	left(1)
}
