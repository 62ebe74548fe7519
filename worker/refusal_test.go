package worker_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

// An archive that the store refuses to delete is in the way of no other one, and is tried again; a
// store that is away ends the sweep, and nothing waits longer for it.
func TestSweepPastARefusal(t *testing.T) {
	w := newWorld(t)
	s3 := testenv.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(s3.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, "")})
	w.must(err)
	locked := testenv.BucketName("locked")
	w.must(client.MakeBucket(w.ctx, locked, minio.MakeBucketOptions{ObjectLocking: true}))
	recordings := w.store.Recordings()
	w.store, err = objstore.New(objstore.Config{Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: recordings.Name(), Archives: locked})
	w.must(err)
	t.Cleanup(w.store.Close)
	archives := w.store.Archives()
	w.add(hour(5), 100)
	w.plan()
	b := w.builder(config())
	var keys []string
	for range 3 {
		w.must(b.Hour(w.ctx, task(5)))
		keys = append(keys, w.view(5).Archive.ObjectKey)
		_, err = w.catalog.Rebuild(w.ctx, tenant, day, 5, true)
		w.must(err)
		w.at(night().Add(time.Duration(len(keys)) * time.Minute))
	}
	held := func(status minio.LegalHoldStatus) {
		t.Helper()
		w.must(client.PutObjectLegalHold(w.ctx, locked, keys[0], minio.PutObjectLegalHoldOptions{Status: &status}))
	}
	held(minio.LegalHoldEnabled)
	w.at(night().Add(2 * time.Hour))
	refused := 0
	sweeper := func(a worker.Archives) *worker.Sweeper {
		return worker.NewSweeper(worker.SweepConfig{Batch: 1, Parallel: 1, OnRefused: func() { refused++ }}, w.catalog, w.catalog, recordings, a, w.log)
	}
	swept := func(want worker.Swept) {
		t.Helper()
		r, err := sweeper(archives).Sweep(w.ctx)
		w.must(err)
		if r.Checked = 0; r != want {
			t.Errorf("swept %+v, want %+v", r, want)
		}
	}
	faulty := &faultyArchives{Archives: archives}
	faulty.fail("remove", false)
	if r, err := sweeper(faulty).Sweep(w.ctx); domain.KindOf(err) != domain.KindUnavailable || r.Refused+r.Deleted > 0 {
		t.Errorf("a store that is away: %+v, %v", r, err)
	}
	swept(worker.Swept{Doomed: 1, Refused: 1, More: true})
	swept(worker.Swept{Deleted: 1, More: true})
	swept(worker.Swept{})
	if !w.exists(archives, keys[0]) || w.exists(archives, keys[1]) || refused != 1 {
		t.Errorf("the held archive stands: %t, the other one: %t; told of %d refusals", w.exists(archives, keys[0]), w.exists(archives, keys[1]), refused)
	}
	held(minio.LegalHoldDisabled)
	w.at(night().Add(4 * time.Hour))
	swept(worker.Swept{Deleted: 1, More: true})
	if w.exists(archives, keys[0]) {
		t.Error("it stands when it is not held any more")
	}
}

// A served archive of which the store refuses to tell keeps no other one from being looked up, and is
// asked for again an hour later.
func TestCheckPastARefusal(t *testing.T) {
	w := newWorld(t)
	for n := range 2 {
		w.add(hour(n), 100)
	}
	w.plan()
	for n := range 2 {
		w.must(w.builder(config()).Hour(w.ctx, task(n)))
	}
	s3, denied := testenv.MinIO(t), w.view(0).Archive.ObjectKey
	store, err := objstore.New(objstore.Config{
		Endpoint: testenv.Between(t, s3.Endpoint, func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, denied) {
				return false
			}
			rw.WriteHeader(http.StatusForbidden)
			return true
		}, nil), Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: w.store.Recordings().Name(), Archives: w.store.Archives().Name(),
	})
	w.must(err)
	t.Cleanup(store.Close)
	sweeper := worker.NewSweeper(worker.SweepConfig{}, w.catalog, w.catalog, store.Recordings(), store.Archives(), w.log)
	w.at(night().Add(2 * time.Hour))
	if r, err := sweeper.Sweep(w.ctx); !objstore.Denied(err) || r.Checked != 1 || r.Gone != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := sweeper.Sweep(w.ctx); err != nil || r.Checked != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	w.at(night().Add(4 * time.Hour))
	if _, err := sweeper.Sweep(w.ctx); !objstore.Denied(err) {
		t.Error(err)
	}
}
