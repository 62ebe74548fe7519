package objstoretest

import (
	"bytes"
	"context"
	"crypto/rand"
	"hash/crc32"
	"io"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

const (
	minPart = 5 << 20 // bytes; the smallest that S3 allows before the last
	opus    = "audio/ogg"
)

// MinIO describes the test process's MinIO, with names for buckets that do not exist yet.
func MinIO(t testing.TB) objstore.Config {
	t.Helper()
	s3 := testenv.MinIO(t)
	return objstore.Config{
		Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: testenv.BucketName("recordings"), Archives: testenv.BucketName("archives"),
	}
}

// Open opens the store that cfg describes, with its buckets, until the test
// ends.
func Open(t testing.TB, cfg objstore.Config) *objstore.Store {
	t.Helper()
	store := newStore(t, cfg)
	if err := store.EnsureBuckets(t.Context()); err != nil {
		t.Fatal("ensure buckets: ", err)
	}
	return store
}

// Run runs the suite against the store that open describes. Its buckets must not exist yet.
func Run(t *testing.T, open func(t *testing.T) objstore.Config) {
	cases := []struct {
		name string
		test func(t *testing.T, f *fixture)
	}{
		{"ranges", ranges},
		{"if-match", ifMatch},
		{"vanished", vanished},
		{"missing bucket", missingBucket},
		{"wrong credentials", wrongCredentials},
		{"put", put},
		{"put with a wrong checksum", putWrongChecksum},
		{"keys", keys},
		{"folder and file", folderAndFile},
		{"ensure buckets again", ensureAgain},
		{"owners", owners},
		{"parts out of order", partsOutOfOrder},
		{"part with a wrong checksum", partWrongChecksum},
		{"part uploaded again", partAgain},
		{"complete never overwrites", completeNeverOverwrites},
		{"two completes at once", twoCompletes},
		{"complete and abort again", finishAgain},
		{"stream", stream},
		{"stream of a wrong size", streamWrongSize},
		{"stream that fails", streamFails},
		{"stream onto an existing key", streamExisting},
		{"stream in little memory", streamLittleMemory},
		{"presign", presign},
		{"presign for a range", presignRange},
		{"presign expires", presignExpires},
		{"stalled body", stalledBody},
		{"stalled upload", stalledUpload},
		{"broken body", brokenBody},
		{"cancelled", cancelled},
		{"unreachable", unreachable},
		{"try", try},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := open(t)
			f := &fixture{cfg: cfg, store: newStore(t, cfg)}
			if err := f.store.EnsureBuckets(t.Context()); err != nil {
				t.Fatal("ensure buckets: ", err)
			}
			f.bucket = f.store.Archives()
			c.test(t, f)
		})
	}
}

// fixture is a store with empty buckets.
type fixture struct {
	cfg    objstore.Config
	store  *objstore.Store
	bucket *objstore.Bucket
}

func newStore(t testing.TB, cfg objstore.Config) *objstore.Store {
	t.Helper()
	store, err := objstore.New(cfg)
	if err != nil {
		t.Fatal("open the store: ", err)
	}
	t.Cleanup(store.Close)
	return store
}

// proxied opens the same buckets through a proxy.
func (f *fixture) proxied(t *testing.T, change func(*objstore.Config)) (*testenv.Proxy, *objstore.Bucket) {
	t.Helper()
	proxy := testenv.NewProxy(t, f.cfg.Endpoint)
	cfg := f.cfg
	cfg.Endpoint = proxy.URL()
	change(&cfg)
	return proxy, newStore(t, cfg).Archives()
}

func (f *fixture) put(t *testing.T, key string, data []byte) string {
	t.Helper()
	etag, err := f.bucket.Put(t.Context(), key, data, objstore.PutOptions{ContentType: opus})
	if err != nil {
		t.Fatal("put: ", err)
	}
	return etag
}

func (f *fixture) begin(t *testing.T, key string) string {
	t.Helper()
	id, err := f.bucket.NewUpload(t.Context(), key, "application/zip")
	if err != nil {
		t.Fatal("begin an upload: ", err)
	}
	return id
}

func (f *fixture) part(t *testing.T, key, id string, n int, data []byte) objstore.Part {
	t.Helper()
	part, err := f.bucket.PutPart(t.Context(), key, id, n, data, crc32.ChecksumIEEE(data))
	if err != nil {
		t.Fatalf("upload part %d: %v", n, err)
	}
	return part
}

// holds compares a whole object with the expected bytes.
func (f *fixture) holds(t *testing.T, key string, want []byte) {
	t.Helper()
	object, err := f.bucket.Get(t.Context(), key, objstore.GetOptions{})
	if err != nil {
		t.Fatal("get: ", err)
	}
	if got := readAll(t, object); !bytes.Equal(got, want) {
		t.Errorf("%q holds %d other bytes than the %d written", key, len(got), len(want))
	}
}

func readAll(t *testing.T, object *objstore.Object) []byte {
	t.Helper()
	data, err := io.ReadAll(object.Body)
	if err != nil {
		t.Error("read: ", err)
	}
	closeBody(t, object)
	return data
}

func closeBody(t *testing.T, object *objstore.Object) {
	t.Helper()
	if err := object.Body.Close(); err != nil {
		t.Error("close: ", err)
	}
}

func wantKind(t *testing.T, what string, err error, want domain.Kind) {
	t.Helper()
	if got := domain.KindOf(err); got != want {
		t.Errorf("%s: kind %q, want %q (%v)", what, got, want, err)
	}
}

func random(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

// drain reads a body to its end or its error.
func drain(object *objstore.Object) error {
	_, err := io.Copy(io.Discard, object.Body)
	return err
}

func absent(ctx context.Context, t *testing.T, b *objstore.Bucket, key string) {
	t.Helper()
	_, err := b.Stat(ctx, key)
	wantKind(t, "look up "+key, err, domain.KindNotFound)
}
