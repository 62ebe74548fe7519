package ingest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/objstore"
)

// emptyBucket is a bucket without objects. It records the content type of the last upload.
type emptyBucket struct {
	ingest.AudioBucket
	contentType string
}

func (b *emptyBucket) Stat(context.Context, string) (objstore.Info, error) {
	return objstore.Info{}, domain.Errorf(domain.KindNotFound, "no object")
}

func (b *emptyBucket) PutStream(_ context.Context, _ string, _ io.Reader, _ int64, contentType string) (objstore.Stored, error) {
	b.contentType = contentType
	return objstore.Stored{}, nil
}

// anyUpload accepts every upload and every batch.
type anyUpload struct{}

func (anyUpload) Register(context.Context, string, catalog.Batch) (catalog.Counts, error) {
	return catalog.Counts{}, nil
}
func (anyUpload) ReserveUpload(context.Context, string, string) (catalog.Reserved, error) {
	return catalog.Reserved{}, nil
}
func (anyUpload) RegisterUpload(context.Context, string, catalog.Upload) error { return nil }

// The content type of audio whose line has none does not depend on the host's table of types.
func TestAudioContentType(t *testing.T) {
	for extension, ofHost := range map[string]string{".opus": "audio/x-host", ".host": "audio/x-host"} {
		if err := mime.AddExtensionType(extension, ofHost); err != nil {
			t.Fatal(err)
		}
	}
	dir, bucket := t.TempDir(), &emptyBucket{}
	audio := &ingest.AudioDir{Dir: dir, Catalog: anyUpload{}, Bucket: bucket}
	for _, c := range []struct{ key, ofLine, want string }{
		{"a.opus", "", "audio/ogg"},
		{"b.host", "", "application/octet-stream"},
		{"c.opus", "audio/opus", "audio/opus"},
	} {
		if err := os.WriteFile(filepath.Join(dir, c.key), []byte("sound"), 0o600); err != nil {
			t.Fatal(err)
		}
		line := catalog.Line[domain.Recording]{Number: 1, Value: domain.Recording{ObjectKey: c.key, ContentType: c.ofLine}}
		if _, err := audio.Register(t.Context(), "t", catalog.Batch{Recordings: []catalog.Line[domain.Recording]{line}}); err != nil {
			t.Fatal(err)
		}
		if bucket.contentType != c.want {
			t.Errorf("%s of a line with the type %q has %q, want %q", c.key, c.ofLine, bucket.contentType, c.want)
		}
	}
}

// readingBucket reads the bytes that are stored in it, and forgets them.
type readingBucket struct{ emptyBucket }

func (b *readingBucket) PutStream(_ context.Context, _ string, r io.Reader, _ int64, _ string) (objstore.Stored, error) {
	_, err := io.Copy(io.Discard, r)
	return objstore.Stored{}, err
}

// What Measure finds is what Load gives to Sent.
func TestAudioIsMeasured(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"a": 1000, "b": 70_000, "no line's": 5} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := ""
	for i, key := range []string{"a", "b", "absent", "b"} {
		lines += fmt.Sprintf(`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":%d,"type":"user","timestamp":"2025-12-12T09:00:00Z","objectKey":%q}`+"\n", i, key)
	}
	var sent atomic.Int64
	audio := &ingest.AudioDir{Dir: dir, Catalog: anyUpload{}, Bucket: &readingBucket{}, Sent: func(n int64) { sent.Add(n) }}
	measured, err := audio.Measure(t.Context(), strings.NewReader(lines))
	if err != nil || measured != 71_000 {
		t.Errorf("measured %d, %v", measured, err)
	}
	if _, err := ingest.Load(t.Context(), audio, "t", strings.NewReader(lines), nil); err != nil || sent.Load() != measured {
		t.Errorf("sent %d of %d, %v", sent.Load(), measured, err)
	}
	if measured, err := audio.Measure(t.Context(), strings.NewReader(lines+"x\n")); err != nil || measured != 0 {
		t.Errorf("with a bad line: %d, %v", measured, err)
	}
	if _, err := (&ingest.AudioDir{Dir: dir + "/none"}).Measure(t.Context(), strings.NewReader(lines)); err == nil {
		t.Error("an absent directory is measured")
	}
}

// summingBucket is a bucket that sums what is stored in it. With there, it has the bytes already.
type summingBucket struct {
	emptyBucket
	there *objstore.Info
}

func (b *summingBucket) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if b.there != nil {
		return *b.there, nil
	}
	return b.emptyBucket.Stat(ctx, key)
}

func (b *summingBucket) PutStream(_ context.Context, _ string, r io.Reader, size int64, _ string) (objstore.Stored, error) {
	in := objstore.NewIncoming(r, size)
	_, _, err := in.Fill(make([]byte, size+1))
	return in.Stored("etag"), err
}

func (b *summingBucket) Sync(string) error { return nil }

// keptUploads is a catalog that keeps the uploads that it is told of.
type keptUploads struct {
	anyUpload
	known catalog.Reserved
	all   []catalog.Upload
}

func (k *keptUploads) ReserveUpload(context.Context, string, string) (catalog.Reserved, error) {
	return k.known, nil
}

func (k *keptUploads) RegisterUpload(_ context.Context, _ string, u catalog.Upload) error {
	k.all = append(k.all, u)
	return nil
}

// Imported audio is registered with the sum and ETag of what was stored. Audio with another sum
// than its line or its recording has is refused, and not stored.
func TestAudioSums(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.opus"), []byte("sound"), 0o600); err != nil {
		t.Fatal(err)
	}
	crc := crc32.ChecksumIEEE([]byte("sound"))
	right, wrong := domain.SHA256(sha256.Sum256([]byte("sound"))), domain.SHA256{}
	stored := catalog.Upload{Key: "a.opus", Size: 5, CRC32: crc, SHA256: &right, ETag: "etag", New: true}
	there := &objstore.Info{Size: 5, CRC32: &crc, ETag: "etag"}
	for name, c := range map[string]struct {
		ofLine, known *domain.SHA256
		there         *objstore.Info
		want          catalog.Upload // none where it is refused
		refused       string
	}{
		"nothing told": {want: stored},
		"told":         {ofLine: &right, known: &right, want: stored},
		"there":        {ofLine: &right, there: there, want: catalog.Upload{Key: "a.opus", Size: 5, CRC32: crc}},
		"another line": {ofLine: &wrong, refused: `"sha256" of its line says otherwise; if the audio is right, correct the line`},
		"another one known": {known: &wrong, there: there,
			refused: `"sha256" of its recording says otherwise; if the audio is right, an operator corrects the recording`},
	} {
		kept := &keptUploads{known: catalog.Reserved{SHA256: c.known}}
		audio := &ingest.AudioDir{Dir: dir, Catalog: kept, Bucket: &summingBucket{there: c.there}}
		line := catalog.Line[domain.Recording]{Number: 1, Value: domain.Recording{ObjectKey: "a.opus", SHA256: c.ofLine}}
		_, err := audio.Register(t.Context(), "t", catalog.Batch{Recordings: []catalog.Line[domain.Recording]{line}})
		if c.refused != "" {
			if domain.KindOf(err) != domain.KindConflict || !strings.Contains(err.Error(), c.refused) || len(kept.all) != 0 {
				t.Errorf("%s: %v, %d uploads", name, err, len(kept.all))
			}
			continue
		}
		if d := cmp.Diff([]catalog.Upload{c.want}, kept.all); d != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
}

// Audio of an erased recording is not stored. What a killed upload left in the bucket is told to
// the catalog.
func TestErasedAudio(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("audio"), 0o600); err != nil {
		t.Fatal(err)
	}
	const line = `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"user","timestamp":"2025-12-12T09:00:00Z","objectKey":"a"}` + "\n"
	crc, other := crc32.ChecksumIEEE([]byte("audio")), uint32(1)
	for name, c := range map[string]struct {
		there *objstore.Info
		told  int
	}{
		"none":        {nil, 0},
		"other bytes": {&objstore.Info{Size: 5, CRC32: &other}, 0},
		"its bytes":   {&objstore.Info{Size: 5, CRC32: &crc}, 1},
	} {
		k := &keptUploads{known: catalog.Reserved{Erased: true, Since: 7}}
		audio := &ingest.AudioDir{Dir: dir, Catalog: k, Bucket: &summingBucket{there: c.there}}
		if _, err := ingest.Load(t.Context(), audio, "t", strings.NewReader(line), nil); err != nil || len(k.all) != c.told {
			t.Errorf("%s: told %+v, %v", name, k.all, err)
		}
	}
}
