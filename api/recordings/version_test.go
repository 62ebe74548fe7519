package recordings_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

// In a bucket that keeps versions, neither another version nor a delete marker that somebody puts
// over an archive changes what its link gives.
func TestVersionIsServed(t *testing.T) {
	for name, redirect := range map[string]bool{"proxy": false, "redirect": true} {
		t.Run(name, func(t *testing.T) {
			s3 := testenv.MinIO(t)
			s := newServed(t, redirect)
			archives, _ := s.objects.(bucket)
			raw, err := minio.New(strings.TrimPrefix(s3.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, "")})
			s.must(err)
			s.must(raw.EnableVersioning(t.Context(), archives.Name()))
			day, err := s.cat.Day(t.Context(), "acme", s.day)
			s.must(err)
			key := day.Hours[14].Archive.ObjectKey
			s.must(raw.RemoveObject(t.Context(), archives.Name(), key, minio.RemoveObjectOptions{VersionID: "null"})) // from before
			archives.Put(key, s.data)
			info, err := archives.Stat(t.Context(), key)
			s.must(err)
			s.must(s.cat.SaveLock(t.Context(), catalog.ArchiveLock{ObjectKey: key, VersionID: info.VersionID}))
			for _, over := range []func() error{
				func() error {
					_, err := archives.Bucket.Put(t.Context(), key, bytes.Repeat([]byte("x"), len(s.data)), objstore.PutOptions{})
					return err
				},
				func() error {
					return raw.RemoveObject(t.Context(), archives.Name(), key, minio.RemoveObjectOptions{})
				},
			} {
				s.must(over())
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.link, http.NoBody)
				s.must(err)
				answer, err := http.DefaultClient.Do(request)
				s.must(err)
				got, err := io.ReadAll(answer.Body)
				s.must(err)
				s.must(answer.Body.Close())
				if !bytes.Equal(got, s.data) {
					t.Errorf("the link answers %s with %d bytes that are not the archive", answer.Status, len(got))
				}
			}
		})
	}
}
