package objstore_test

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// TestObserved makes each request once: all are reported by their operation.
func TestObserved(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	var mu sync.Mutex
	seen := map[string]int{}
	cfg.Observe = func(o objstore.Observed) {
		mu.Lock()
		defer mu.Unlock()
		if o.Took <= 0 {
			t.Errorf("%s took %v", o.Operation, o.Took)
		}
		seen[o.Operation+" "+o.Outcome]++
	}
	store := objstoretest.Open(t, cfg)
	b := store.Archives()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(store.Recordings().Check(ctx))
	must(b.Check(ctx))
	_, err := b.Put(ctx, "small", []byte("text"), objstore.PutOptions{})
	must(err)
	object, err := b.Get(ctx, "small", objstore.GetOptions{})
	must(err)
	_, err = io.ReadAll(object.Body)
	must(err)
	must(object.Body.Close())
	if _, err = b.Stat(ctx, "none"); domain.KindOf(err) != domain.KindNotFound {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 1000)
	id, err := b.NewUpload(ctx, "large", objstore.UploadOptions{PartSize: 1000})
	must(err)
	part, err := b.PutPart(ctx, "large", id, 1, data, crc32.ChecksumIEEE(data))
	must(err)
	_, err = b.Complete(ctx, "large", id, []objstore.Part{part}, objstore.CompleteOptions{})
	must(err)
	id, err = b.NewUpload(ctx, "given up", objstore.UploadOptions{PartSize: 1000})
	must(err)
	must(b.AbortAll(ctx, "given up"))
	must(b.Abort(ctx, "given up", id))
	must(b.Remove(ctx, "small"))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = b.Stat(ended, "large"); err == nil {
		t.Fatal("a cancelled request was answered")
	}

	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"put 2xx", "get 2xx", "head 2xx", "head 4xx", "begin_upload 2xx", "upload_part 2xx", "complete_upload 2xx",
		"list 2xx", "abort_upload 2xx", "delete 2xx"} {
		if seen[want] == 0 {
			t.Errorf("nothing is told of %s, but of %v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
	if seen["other 2xx"] > 0 {
		t.Error("a request has no name")
	}
}
