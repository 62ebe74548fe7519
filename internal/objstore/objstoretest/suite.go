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
)

const (
	minPart = 5 << 20 // bytes; the smallest that S3 allows before the last
	opus    = "audio/ogg"
)

// Bucket is what callvault asks of a bucket, whatever store it is in.
type Bucket interface {
	objstore.Marked
	Check(ctx context.Context) error
	CheckKey(key string) error
	Stat(ctx context.Context, key string) (objstore.Info, error)
	PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (objstore.Stored, error)
	NewUpload(ctx context.Context, key string, opts objstore.UploadOptions) (string, error)
	PutPart(ctx context.Context, key, uploadID string, n int, data []byte, sum uint32) (objstore.Part, error)
	Complete(ctx context.Context, key, uploadID string, parts []objstore.Part, opts objstore.CompleteOptions) (string, error)
	Abort(ctx context.Context, key, uploadID string) error
	AbortAll(ctx context.Context, key string) error
	Keys(ctx context.Context, folder string) ([]string, error)
	KeysAfter(ctx context.Context, folder, after string) ([]string, error)
	Remove(ctx context.Context, key string) error
	RemoveMatch(ctx context.Context, key string, m objstore.Match) error
	Sync(key string) error
}

// Store makes the buckets that the suite runs against.
type Store struct {
	// New makes an empty bucket and says where it is, in a text for Open.
	New func(t testing.TB) string
	// Open opens a bucket, also in another process than the one that made it.
	Open func(where string) (Bucket, error)
}

// Run runs the suite. Each test has a bucket of its own.
func Run(t *testing.T, store Store) {
	cases := []struct {
		name string
		test func(t *testing.T, f *fixture)
	}{
		{"ranges", ranges},
		{"if-match", ifMatch},
		{"vanished", vanished},
		{"put", put},
		{"remove what is meant", removeMatch},
		{"put with a wrong checksum", putWrongChecksum},
		{"keys", keys},
		{"keys of a folder", keysOfFolder},
		{"folder and file", folderAndFile},
		{"owners", owners},
		{"parts out of order", partsOutOfOrder},
		{"part with a wrong checksum", partWrongChecksum},
		{"part uploaded again", partAgain},
		{"a part is missing", partMissing},
		{"complete never overwrites", completeNeverOverwrites},
		{"two completes at once", twoCompletes},
		{"complete and abort again", finishAgain},
		{"abort all", abortAll},
		{"stream", stream},
		{"stream of a wrong size", streamWrongSize},
		{"stream that fails", streamFails},
		{"stream onto an existing key", streamExisting},
		{"stream in little memory", streamLittleMemory},
		{"cancelled", cancelled},
		{"killed writers", killedWriters},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{store: store, where: store.New(t)}
			bucket, err := store.Open(f.where)
			if err != nil {
				t.Fatal("open the bucket: ", err)
			}
			f.bucket = bucket
			c.test(t, f)
		})
	}
}

// fixture is an empty bucket.
type fixture struct {
	store  Store
	where  string
	bucket Bucket
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
	id, err := f.bucket.NewUpload(t.Context(), key, objstore.UploadOptions{ContentType: "application/zip", PartSize: minPart})
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

// holds fails unless the object has exactly the expected bytes.
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

func absent(ctx context.Context, t *testing.T, b Bucket, key string) {
	t.Helper()
	_, err := b.Stat(ctx, key)
	wantKind(t, "look up "+key, err, domain.KindNotFound)
}
