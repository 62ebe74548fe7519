package doctor_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

// Without --try the doctor says what the catalog has stored about the buckets, and writes nothing
// there.
func TestRemembered(t *testing.T) {
	f := newFixture(t)
	var writes atomic.Int64
	f.s.Try, f.s.Config.S3Endpoint = false, f.between(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writes.Add(1)
		}
		return false
	}, nil)
	c, err := catalog.Open(t.Context(), f.s.Config.DatabaseURL.Reveal(), catalog.Rules{})
	f.must(err)
	defer func() { f.must(c.Close()) }()
	remember := func(lacks string) {
		var list []domain.Capability
		for _, name := range append(objstore.ArchivesNeed(), objstore.CanChecksum, objstore.CanLongParts) {
			list = append(list, domain.Capability{Name: name, Has: name != lacks, Saw: "seen"})
		}
		for _, bucket := range []string{f.s.Config.Archives, f.s.Config.Recordings} {
			f.must(c.RememberStore(t.Context(), catalog.StoreKey{Endpoint: f.s.Config.S3Endpoint, Bucket: bucket}, list))
		}
	}
	for _, step := range []struct {
		do                         func()
		archives, recordings       doctor.Status
		archivesSaw, recordingsSaw string
	}{
		{func() {}, doctor.Warn, doctor.Warn, "never tried", "never tried"},
		{func() { remember("") }, doctor.OK, doctor.OK, "could do what callvault relies on", "could do what callvault relies on"},
		{func() { remember(objstore.CanPutOnce) }, doctor.Fail, doctor.OK, "lacks conditional PUT", "audio is not taken in: the bucket"},
		{func() { remember(objstore.CanMatch) }, doctor.Fail, doctor.Fail, "lacks strong ETags", "lacks strong ETags"},
		{func() { remember(objstore.CanChecksum) }, doctor.OK, doctor.OK, "checksums are left out", "checksums are left out"},
		{func() { remember(objstore.CanLongParts) }, doctor.OK, doctor.OK, "could do what callvault relies on", "no keys with parts of more than 255 bytes"},
	} {
		step.do()
		got := f.examine()
		f.compare(got, map[string]doctor.Status{"archives bucket": step.archives, "recordings bucket": step.recordings, "links to objects": doctor.Skipped})
		for check, want := range map[string]string{"archives bucket": step.archivesSaw, "recordings bucket": step.recordingsSaw} {
			if saw := got[check].Saw; !strings.Contains(saw, want) {
				t.Errorf("%s: it saw %s, want %s", check, saw, want)
			}
		}
	}
	if writes.Load() > 0 {
		t.Errorf("%d requests were writing", writes.Load())
	}
}

// The doctor says whether archives can be locked, and are, without writing anything.
func TestArchivesLock(t *testing.T) {
	f := newFixture(t)
	f.s.Try, f.s.Config.ArchiveLock = false, "governance"
	lock := func(status doctor.Status, saw string) {
		t.Helper()
		if r := f.examine()["archives lock"]; r.Status != status || !strings.Contains(r.Saw, saw) {
			t.Errorf("it is %s: %s (%s), want %s: %s", r.Status, r.Saw, r.Advice, status, saw)
		}
	}
	lock(doctor.Fail, "has no object lock")
	m := testenv.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(m.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, "")})
	f.must(err)
	f.s.Config.Archives = testenv.BucketName("locked")
	f.must(client.MakeBucket(t.Context(), f.s.Config.Archives, minio.MakeBucketOptions{ObjectLocking: true}))
	lock(doctor.Fail, "was not tried for CALLVAULT_ARCHIVES_LOCK=governance")
	c, err := catalog.Open(t.Context(), f.s.Config.DatabaseURL.Reveal(), catalog.Rules{})
	f.must(err)
	defer func() { f.must(c.Close()) }()
	var list []domain.Capability
	for _, name := range objstore.LockNeeds(objstore.Governance) {
		list = append(list, domain.Capability{Name: name, Has: true})
	}
	f.must(c.RememberStore(t.Context(), catalog.StoreKey{Endpoint: f.s.Config.S3Endpoint, Bucket: f.s.Config.Archives}, list))
	lock(doctor.OK, "every archive is locked (governance)")
}
