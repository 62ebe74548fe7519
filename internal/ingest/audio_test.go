package ingest_test

import (
	"context"
	"io"
	"mime"
	"os"
	"path/filepath"
	"testing"

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
