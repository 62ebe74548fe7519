package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

func ranges(t *testing.T, f *fixture) {
	data := random(1000)
	f.put(t, "a", data)
	for _, c := range []struct{ from, to, begin, end int64 }{
		{0, 0, 0, 1000},
		{0, 1, 0, 1},
		{0, 1000, 0, 1000},
		{10, 20, 10, 20},
		{999, 1000, 999, 1000},
		{500, 0, 500, 1000},
		{500, 5000, 500, 1000},
	} {
		object, err := f.bucket.Get(t.Context(), "a", objstore.GetOptions{From: c.from, To: c.to})
		if err != nil {
			t.Errorf("get %d to %d: %v", c.from, c.to, err)
			continue
		}
		if object.Size != 1000 || object.From != c.begin || object.To != c.end || object.ContentType != opus || object.LastModified.IsZero() {
			t.Errorf("get %d to %d: %+v, from %d to %d", c.from, c.to, object.Info, object.From, object.To)
		}
		if got := readAll(t, object); !bytes.Equal(got, data[c.begin:c.end]) {
			t.Errorf("get %d to %d: %d other bytes", c.from, c.to, len(got))
		}
	}
	_, err := f.bucket.Get(t.Context(), "a", objstore.GetOptions{From: 1000})
	wantKind(t, "get behind the end", err, domain.KindConflict)
	_, err = f.bucket.Get(t.Context(), "a", objstore.GetOptions{From: 20, To: 10})
	wantKind(t, "get backwards", err, domain.KindInvalid)
	f.put(t, "empty", nil)
	f.holds(t, "empty", nil)
	if info, err := f.bucket.Stat(t.Context(), "empty"); err != nil || info.Size != 0 {
		t.Errorf("an empty object: %+v, %v", info, err)
	}
}

func ifMatch(t *testing.T, f *fixture) {
	first := f.put(t, "a", []byte("first"))
	object, err := f.bucket.Get(t.Context(), "a", objstore.GetOptions{From: 1, IfMatch: first})
	if err != nil {
		t.Fatal(err)
	}
	if object.ETag != first {
		t.Errorf("the ETag was %q when written and is %q when read", first, object.ETag)
	}
	if got := readAll(t, object); string(got) != "irst" {
		t.Errorf("got %q", got)
	}
	second := f.put(t, "a", []byte("second"))
	if first == second {
		t.Errorf("other bytes have the same ETag %q", first)
	}
	_, err = f.bucket.Get(t.Context(), "a", objstore.GetOptions{From: 1, IfMatch: first})
	wantKind(t, "get a replaced object", err, domain.KindConflict)
}

func vanished(t *testing.T, f *fixture) {
	absent(t.Context(), t, f.bucket, "a/b")
	_, err := f.bucket.Get(t.Context(), "a/b", objstore.GetOptions{})
	wantKind(t, "get what is not there", err, domain.KindNotFound)
	f.put(t, "a/b", []byte("data"))
	for range 2 {
		if err := f.bucket.Remove(t.Context(), "a/b"); err != nil {
			t.Error("remove: ", err)
		}
	}
	_, err = f.bucket.Get(t.Context(), "a/b", objstore.GetOptions{IfMatch: "x"})
	wantKind(t, "get what is gone", err, domain.KindNotFound)
}

func missingBucket(t *testing.T, f *s3) {
	for _, b := range []*objstore.Bucket{f.store.Recordings(), f.store.Archives()} {
		if err := b.Check(t.Context()); err != nil {
			t.Error("check: ", err)
		}
	}
	cfg := f.cfg
	cfg.Archives = testenv.BucketName("nowhere")
	store := newStore(t, cfg)
	b := store.Archives()
	_, getErr := b.Get(t.Context(), "a", objstore.GetOptions{})
	_, statErr := b.Stat(t.Context(), "a")
	_, putErr := b.Put(t.Context(), "a", []byte("x"), objstore.PutOptions{})
	_, newErr := b.NewUpload(t.Context(), "a", objstore.UploadOptions{PartSize: minPart})
	for what, err := range map[string]error{
		"get": getErr, "stat": statErr, "put": putErr, "new upload": newErr, "check": b.Check(t.Context()),
		"remove": b.Remove(t.Context(), "a"),
	} {
		wantKind(t, what, err, domain.KindUnavailable)
		if message := domain.SafeMessage(err); err != nil && !strings.Contains(err.Error(), cfg.Archives) {
			t.Errorf("%s: %q does not name the bucket", what, message)
		}
	}
}

func wrongCredentials(t *testing.T, f *s3) {
	f.put(t, "a", []byte("x"))
	for _, change := range []func(*objstore.Config){
		func(c *objstore.Config) { c.SecretKey += "x" },
		func(c *objstore.Config) { c.AccessKey += "x" },
	} {
		cfg := f.cfg
		change(&cfg)
		store := newStore(t, cfg)
		wantKind(t, "check", store.Archives().Check(t.Context()), domain.KindUnavailable)
		_, err := store.Archives().Get(t.Context(), "missing", objstore.GetOptions{})
		wantKind(t, "get", err, domain.KindUnavailable)
		_, err = store.Archives().Stat(t.Context(), "missing")
		wantKind(t, "stat", err, domain.KindUnavailable)
	}
}

func put(t *testing.T, f *fixture) {
	data := random(70_000)
	etag := f.put(t, "a", data)
	info, err := f.bucket.Stat(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != 70_000 || info.ETag != etag || info.ContentType != opus || info.LastModified.IsZero() {
		t.Errorf("%+v, want the ETag %q", info, etag)
	}
	if sum := crc32.ChecksumIEEE(data); info.CRC32 == nil || *info.CRC32 != sum {
		t.Errorf("the store does not tell the CRC-32 %08x", sum)
	}
	_, err = f.bucket.Put(t.Context(), "a", []byte("other"), objstore.PutOptions{IfNoneMatch: true})
	wantKind(t, "put onto an existing key", err, domain.KindConflict)
	f.holds(t, "a", data)
	if _, err := f.bucket.Put(t.Context(), "b", []byte("new"), objstore.PutOptions{IfNoneMatch: true}); err != nil {
		t.Error("put onto a new key: ", err)
	}
	f.holds(t, "b", []byte("new"))
}

func putWrongChecksum(t *testing.T, f *fixture) {
	wrong := uint32(1)
	_, err := f.bucket.Put(t.Context(), "a", []byte("data"), objstore.PutOptions{CRC32: &wrong})
	wantKind(t, "put", err, domain.KindStoreFault)
	absent(t.Context(), t, f.bucket, "a")
}

func keys(t *testing.T, f *fixture) {
	for i, key := range []string{
		"tenant/2025/a b.opus", "ümläut/日本語/é.webm", "plus+and&=?#%25.ogg", "a'b\"c(d)[e]{f}!$*,;:@~^`|.opus",
		"back\\slash.opus", "trailing.dot.", "..hidden/...", strings.Repeat("x", 250) + "/" + strings.Repeat("y", 250),
		"tenant/" + strings.Repeat("d/", 40) + "deep",
	} {
		data := []byte{byte(i)}
		if _, err := f.bucket.Put(t.Context(), key, data, objstore.PutOptions{IfNoneMatch: true}); err != nil {
			t.Errorf("put %q: %v", key, err)
			continue
		}
		f.holds(t, key, data)
	}
	for _, key := range []string{"", strings.Repeat("k", 1025), "bad\xff"} {
		_, err := f.bucket.Put(t.Context(), key, nil, objstore.PutOptions{})
		wantKind(t, "put an impossible key", err, domain.KindInvalid)
		_, err = f.bucket.Stat(t.Context(), key)
		wantKind(t, "stat an impossible key", err, domain.KindInvalid)
	}
}

// folderAndFile: a store may refuse "p/q" beside "p", but must not confuse them.
func folderAndFile(t *testing.T, f *fixture) {
	f.put(t, "p", []byte("file"))
	_, err := f.bucket.Get(t.Context(), "p/q", objstore.GetOptions{})
	wantKind(t, "get below a file", err, domain.KindNotFound)
	absent(t.Context(), t, f.bucket, "p/q")
	if _, err = f.bucket.Put(t.Context(), "p/q", []byte("below"), objstore.PutOptions{IfNoneMatch: true}); err == nil {
		f.holds(t, "p/q", []byte("below"))
	} else {
		wantKind(t, "put below a file", err, domain.KindInvalid)
		if strings.Count(err.Error(), "a folder of another key") != 1 {
			t.Errorf("put below a file does not say once what is wrong: %v", err)
		}
	}
	f.put(t, "d/e", []byte("below"))
	absent(t.Context(), t, f.bucket, "d")
	_, err = f.bucket.Get(t.Context(), "d", objstore.GetOptions{})
	wantKind(t, "get a folder", err, domain.KindNotFound)
	if _, err = f.bucket.Put(t.Context(), "d", []byte("file"), objstore.PutOptions{}); err == nil {
		f.holds(t, "d", []byte("file"))
	} else {
		wantKind(t, "put onto a folder", err, domain.KindInvalid)
	}
	f.holds(t, "p", []byte("file"))
	f.holds(t, "d/e", []byte("below"))
}

func ensureAgain(t *testing.T, f *s3) {
	f.put(t, "a", []byte("x"))
	for range 2 {
		if err := f.store.EnsureBuckets(t.Context()); err != nil {
			t.Error("ensure again: ", err)
		}
		if err := f.store.SetRules(t.Context(), "callvault"); err != nil {
			t.Error("set the rules: ", err)
		}
	}
	f.holds(t, "a", []byte("x"))
}

func cancelled(t *testing.T, f *fixture) {
	f.put(t, "a", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.bucket.Get(ctx, "a", objstore.GetOptions{})
	wantKind(t, "get when cancelled", err, domain.KindInterrupted)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not say that it was cancelled", err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(domain.Errorf(domain.KindStalled, "the watchdog"))
	_, err = f.bucket.Put(ctx, "b", []byte("x"), objstore.PutOptions{})
	wantKind(t, "put when cancelled with a cause", err, domain.KindStalled)
}
