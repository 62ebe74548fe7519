package worker_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

// An archive that the store refuses to delete does not stop the deletion of others, and is tried
// again. A store that is unavailable ends the sweep, and no archive is put off for it.
func TestSweepPastARefusal(t *testing.T) {
	f := newFixture(t)
	s3 := testenv.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(s3.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, "")})
	f.must(err)
	locked := testenv.BucketName("locked")
	f.must(client.MakeBucket(f.ctx, locked, minio.MakeBucketOptions{ObjectLocking: true}))
	recordings := f.store.Recordings()
	f.store, err = objstore.New(objstore.Config{Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: recordings.Name(), Archives: locked})
	f.must(err)
	t.Cleanup(f.store.Close)
	archives := f.store.Archives()
	f.add(hour(5), 100)
	f.plan()
	b := f.builder(config())
	var keys []string
	for range 3 {
		f.must(b.BuildHour(f.ctx, task(5)))
		keys = append(keys, f.view(5).Archive.ObjectKey)
		_, err = f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 5, Force: true})
		f.must(err)
		f.at(night().Add(time.Duration(len(keys)) * time.Minute))
	}
	held := func(status minio.LegalHoldStatus) {
		t.Helper()
		f.must(client.PutObjectLegalHold(f.ctx, locked, keys[0], minio.PutObjectLegalHoldOptions{Status: &status}))
	}
	held(minio.LegalHoldEnabled)
	f.at(night().Add(2 * time.Hour))
	refused := 0
	sweeper := func(a lifecycle.Archives) *lifecycle.Sweeper {
		return lifecycle.NewSweeper(lifecycle.SweepConfig{Batch: 1, Parallel: 1, OnRefused: func() { refused++ }}, f.catalog, recordings, a, time.Now, f.log)
	}
	swept := func(want lifecycle.SweepReport) {
		t.Helper()
		r, err := sweeper(archives).Sweep(f.ctx)
		f.must(err)
		if r.Checked = 0; r != want {
			t.Errorf("swept %+v, want %+v", r, want)
		}
	}
	faulty := &faultyArchives{archives: archives}
	faulty.fail("remove", false)
	if r, err := sweeper(faulty).Sweep(f.ctx); domain.KindOf(err) != domain.KindUnavailable || r.Refused+r.Deleted > 0 {
		t.Errorf("a store that is away: %+v, %v", r, err)
	}
	swept(lifecycle.SweepReport{Doomed: 1, Refused: 1, More: true})
	swept(lifecycle.SweepReport{Deleted: 1, More: true})
	swept(lifecycle.SweepReport{})
	if !f.exists(archives, keys[0]) || f.exists(archives, keys[1]) || refused != 1 {
		t.Errorf("the held archive stands: %t, the other one: %t; told of %d refusals", f.exists(archives, keys[0]), f.exists(archives, keys[1]), refused)
	}
	held(minio.LegalHoldDisabled)
	f.at(night().Add(4 * time.Hour))
	swept(lifecycle.SweepReport{Deleted: 1, More: true})
	if f.exists(archives, keys[0]) {
		t.Error("the archive is not deleted after its legal hold has ended")
	}
}

// A served archive that the store refuses to look up does not stop the check of others, and is
// looked up again an hour later.
func TestCheckPastARefusal(t *testing.T) {
	f := newFixture(t)
	for n := range 2 {
		f.add(hour(n), 100)
	}
	f.plan()
	for n := range 2 {
		f.must(f.builder(config()).BuildHour(f.ctx, task(n)))
	}
	s3, denied := testenv.MinIO(t), f.view(0).Archive.ObjectKey
	store, err := objstore.New(objstore.Config{
		Endpoint: testenv.HTTPProxy(t, s3.Endpoint, func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, denied) {
				return false
			}
			rw.WriteHeader(http.StatusForbidden)
			return true
		}, nil), Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: f.store.Recordings().Name(), Archives: f.store.Archives().Name(),
	})
	f.must(err)
	t.Cleanup(store.Close)
	sweeper := lifecycle.NewSweeper(lifecycle.SweepConfig{}, f.catalog, store.Recordings(), store.Archives(), time.Now, f.log)
	f.at(night().Add(2 * time.Hour))
	if r, err := sweeper.Sweep(f.ctx); !objstore.Denied(err) || r.Checked != 1 || r.Gone != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := sweeper.Sweep(f.ctx); err != nil || r.Checked != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	f.at(night().Add(4 * time.Hour))
	if _, err := sweeper.Sweep(f.ctx); !objstore.Denied(err) {
		t.Error(err)
	}
}
