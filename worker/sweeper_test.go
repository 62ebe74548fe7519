package worker_test

import (
	"context"
	"database/sql"
	"errors"
	"hash/crc32"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

func (f *fixture) sweep() lifecycle.SweepReport {
	f.Helper()
	r, err := f.sweeper().Sweep(f.ctx)
	f.must(err)
	return r
}

// supersede builds hour 5, and builds it again with one more recording. It gives the keys of both
// archives.
func (f *fixture) supersede() (first, second string) {
	f.Helper()
	f.add(hour(5), 100)
	f.plan()
	b := f.builder(config())
	f.must(b.BuildHour(f.ctx, task(5)))
	first = f.view(5).Archive.ObjectKey
	f.add(hour(5), 200)
	_, err := f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 5})
	f.must(err)
	f.must(b.BuildHour(f.ctx, task(5)))
	return first, f.view(5).Archive.ObjectKey
}

// A replaced revision is deleted an hour later, and nothing else is.
func TestSweepSuperseded(t *testing.T) {
	f := newFixture(t)
	first, second := f.supersede()
	if r := f.sweep(); r.Deleted != 0 || !f.exists(f.store.Archives(), first) {
		t.Errorf("deleted too early: %+v", r)
	}
	f.at(night().Add(2 * time.Hour))
	if r := f.sweep(); r.Doomed != 1 || r.Deleted != 1 || f.exists(f.store.Archives(), first) || !f.exists(f.store.Archives(), second) {
		t.Errorf("after an hour: %+v", r)
	}
	f.at(night().Add(27 * time.Hour))
	if r := f.sweep(); r.Deleted != 1 {
		t.Errorf("the second deletion: %+v", r)
	}
	f.at(night().Add(29 * time.Hour))
	if r := f.sweep(); r.Deleted != 0 || r.Gone != 0 {
		t.Errorf("nothing is left to do: %+v", r)
	}
	f.served(5)
}

// On a bucket that keeps versions all versions of a replaced archive are deleted, and no object
// with a similar key is. The archive's key has the prefix of an earlier configuration.
func TestSweepVersions(t *testing.T) {
	file := "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")
	f := openFixture(t, file)
	before, err := catalog.Open(f.ctx, file, catalog.Rules{ArchivesPrefix: "before"})
	f.must(err)
	defer func() { f.must(before.Close()) }()
	s3 := testenv.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(s3.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, "")})
	f.must(err)
	archives := f.store.Archives()
	f.must(client.EnableVersioning(f.ctx, archives.Name()))
	f.add(hour(5), 100)
	f.plan()
	b := f.builder(config())
	f.must(worker.NewBuilder(config(), before, f.store.Recordings(), archives, time.Now, f.log).BuildHour(f.ctx, task(5)))
	f.served(5)
	first := f.view(5).Archive.ObjectKey
	f.add(hour(5), 200)
	_, err = f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 5})
	f.must(err)
	f.must(b.BuildHour(f.ctx, task(5)))
	second := f.view(5).Archive.ObjectKey
	if !strings.HasPrefix(first, "before/archives/") || !strings.HasPrefix(second, "callvault/archives/") {
		t.Errorf("the archives are %s and %s", first, second)
	}
	for _, key := range []string{first, first + "2", first + ".d/x"} { // the first key gets a second version
		_, err := archives.Put(f.ctx, key, []byte("x"), objstore.PutOptions{})
		f.must(err)
	}
	f.at(night().Add(2 * time.Hour))
	if r := f.sweep(); r.Deleted != 1 {
		t.Errorf("swept %+v", r)
	}
	left := map[string]int{}
	for v := range client.ListObjectsIter(f.ctx, archives.Name(), minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		f.must(v.Err)
		left[v.Key]++
	}
	if want := map[string]int{second: 1, first + "2": 1, first + ".d/x": 1}; !maps.Equal(left, want) {
		t.Errorf("versions left: %v, want %v", left, want)
	}
}

// The uploads of a killed builder are aborted, also one whose id is not in the catalog.
func TestSweepAfterACrash(t *testing.T) {
	f := newFixture(t)
	f.add(hour(5), 100)
	f.plan()
	claim, ok, err := f.catalog.Claim(f.ctx, hour(5), "killed")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	f.must(f.catalog.StartArchive(f.ctx, claim))
	archives := f.store.Archives()
	remembered, err := archives.NewUpload(f.ctx, claim.ObjectKey(), objstore.UploadOptions{ContentType: "application/zip", PartSize: 5 << 20})
	f.must(err)
	f.must(f.catalog.SetUpload(f.ctx, claim, remembered))
	forgotten, err := archives.NewUpload(f.ctx, claim.ObjectKey(), objstore.UploadOptions{ContentType: "application/zip", PartSize: 5 << 20})
	f.must(err)
	longer, err := archives.NewUpload(f.ctx, claim.ObjectKey()+".other", objstore.UploadOptions{ContentType: "application/zip", PartSize: 5 << 20})
	f.must(err)
	if r := f.sweep(); r.Doomed != 0 || r.Deleted != 0 {
		t.Errorf("a running build was swept: %+v", r)
	}
	f.at(night().Add(time.Minute))
	_, err = f.catalog.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	if r := f.sweep(); r.Deleted != 1 {
		t.Errorf("swept %+v", r)
	}
	for _, id := range []string{remembered, forgotten} {
		late := []byte("late")
		_, err := archives.PutPart(f.ctx, claim.ObjectKey(), id, 1, late, crc32.ChecksumIEEE(late))
		f.expectKind(err, domain.KindLost)
	}
	f.must(archives.Abort(f.ctx, claim.ObjectKey()+".other", longer))
}

// A catalog that was restored from a backup has an archive as unfinished that was published after
// the backup. Its object is kept until the day ends.
func TestSweepAfterARestore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "catalog.db")
	f := openFixture(t, "sqlite://"+file)
	f.add(hour(5), 100)
	f.add(hour(6), 100)
	f.plan()
	archives := f.store.Archives()
	unfinished, ok, err := f.catalog.Claim(f.ctx, hour(6), "killed")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	f.must(f.catalog.StartArchive(f.ctx, unfinished))
	backup := file + ".bak"
	hooked := &hookedArchives{Archives: archives, before: func() { f.backUp(file, backup) }}
	f.must(worker.NewBuilder(config(), f.catalog, f.store.Recordings(), hooked, time.Now, f.log).BuildHour(f.ctx, task(5)))
	newer := f.view(5).Archive.ObjectKey

	f.restore(backup)
	if v := f.view(5); v.State != catalog.StatePending {
		t.Fatalf("in the backup the hour is %s", v.State)
	}
	f.at(night().Add(time.Minute))
	_, err = f.catalog.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	if r := f.sweep(); r.Kept != 1 || r.Deleted != 1 || !f.exists(archives, newer) {
		t.Errorf("what is newer than the backup: %+v", r)
	}
	f.must(f.builder(config()).BuildHour(f.ctx, task(5)))
	f.served(5)
	again := f.view(5).Archive.ObjectKey
	if again == newer {
		t.Error("the hour was not built again")
	}
	if r := f.sweep(); r.Kept+r.Deleted != 0 {
		t.Errorf("again at once: %+v", r)
	}
	f.at(night().Add(25 * time.Hour))
	if r := f.sweep(); r.Kept != 1 || r.Deleted != 1 || !f.exists(archives, newer) {
		t.Errorf("a day later: %+v", r)
	}
	f.at(day.End().Add(80 * time.Hour))
	_, err = f.catalog.ExpireDays(f.ctx, 10)
	f.must(err)
	f.at(day.End().Add(82 * time.Hour))
	if r := f.sweep(); r.Kept != 0 || f.exists(archives, newer) || f.exists(archives, again) {
		t.Errorf("past retention: %+v", r)
	}
}

// backUp copies a SQLite catalog as docs/operations.md says.
func (f *fixture) backUp(file, to string) {
	f.Helper()
	db, err := sql.Open("sqlite", file)
	f.must(err)
	_, err = db.ExecContext(f.ctx, "VACUUM INTO $1", to)
	f.must(errors.Join(err, db.Close()))
}

// restore opens the catalog of a backup in place of the fixture's.
func (f *fixture) restore(file string) {
	f.Helper()
	c, err := catalog.Open(f.ctx, "sqlite://"+file, catalog.Rules{Lease: 300 * time.Millisecond})
	f.must(err)
	f.Cleanup(func() { f.must(c.Close()) })
	f.catalog = c
}

// hookedArchives calls a function before the first object is written.
type hookedArchives struct {
	worker.Archives
	before func()
	once   sync.Once
}

func (s *hookedArchives) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error) {
	s.once.Do(s.before)
	return s.Archives.Put(ctx, key, data, opts)
}

// An archive is gone only when the store says that its key does not exist or its size is another.
func TestSweepFindsGoneArchives(t *testing.T) {
	f := newFixture(t)
	for n := range 3 {
		f.add(hour(n), 100)
	}
	f.plan()
	b := f.builder(config())
	for n := range 3 {
		f.must(b.BuildHour(f.ctx, task(n)))
	}
	archives := f.store.Archives()
	if r := f.sweep(); r.Checked != 0 {
		t.Errorf("looked up at once: %+v", r)
	}
	f.at(night().Add(2 * time.Hour))
	f.must(archives.Remove(f.ctx, f.view(0).Archive.ObjectKey))
	_, err := archives.Put(f.ctx, f.view(1).Archive.ObjectKey, []byte("torn"), objstore.PutOptions{})
	f.must(err)

	s3 := testenv.MinIO(t)
	elsewhere, err := objstore.New(objstore.Config{Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey,
		SecretKey: s3.SecretKey, Recordings: "no-such-bucket", Archives: "no-such-bucket"})
	f.must(err)
	t.Cleanup(elsewhere.Close)
	failing := lifecycle.NewSweeper(lifecycle.SweepConfig{}, f.catalog, elsewhere.Recordings(), elsewhere.Archives(), time.Now, f.log)
	r, err := failing.Sweep(f.ctx)
	f.expectKind(err, domain.KindUnavailable)
	if r.Gone != 0 {
		t.Fatalf("a missing bucket made %d archives gone", r.Gone)
	}
	if r := f.sweep(); r.Gone != 2 || r.Checked != 1 {
		t.Errorf("swept %+v", r)
	}
	for n := range 3 {
		f.must(b.BuildHour(f.ctx, task(n)))
		f.served(n)
	}
	if r := f.sweep(); r.Gone != 0 || r.Checked != 0 {
		t.Errorf("looked up again at once: %+v", r)
	}
}

// An hour is due again when a missing recording can be read, and not when its bytes are others
// than were registered.
func TestSweepLooksForMissingRecordings(t *testing.T) {
	f := newFixture(t)
	f.add(hour(1), 100)
	back := f.recording(hour(1), nil)
	f.add(hour(2), 100)
	size := int64(55)
	f.put(f.recording(hour(2), &size), audio(1, 54))
	f.add(hour(3), 100)
	f.recording(hour(3), nil)
	f.plan()
	b := f.builder(config())
	for n := 1; n <= 3; n++ {
		f.must(b.BuildHour(f.ctx, task(n)))
		if v := f.view(n); v.Archive.MissingCount != 1 {
			t.Fatalf("hour %d lacks %d", n, v.Archive.MissingCount)
		}
	}
	f.put(back, audio(9, 900))
	if r := f.sweep(); r.Back != 0 {
		t.Errorf("looked for too early: %+v", r)
	}
	f.at(night().Add(20 * time.Minute))
	if r := f.sweep(); r.Back != 1 {
		t.Errorf("after 15 minutes: %+v", r)
	}
	for n := 1; n <= 3; n++ {
		f.must(b.BuildHour(f.ctx, task(n)))
		want := int64(1)
		if n == 1 {
			want = 2
		}
		if v := f.view(n); v.Revision != want {
			t.Errorf("hour %d has revision %d", n, v.Revision)
		}
	}
	if v := f.view(1); v.Archive.MissingCount != 0 || v.Archive.Files != 2 {
		t.Errorf("the recording that came back is missing still: %+v", v.Archive)
	}
}

// A recheck that fails does not stop those of other hours, unless the sweep has waited too long
// for it.
func TestSweepLooksPastAFailure(t *testing.T) {
	f := newFixture(t)
	var missing []string
	for n := range 2 {
		f.add(hour(n), 100)
		missing = append(missing, f.recording(hour(n), nil))
	}
	f.plan()
	b := f.builder(config())
	for n := range 2 {
		f.must(b.BuildHour(f.ctx, task(n)))
	}
	f.put(missing[1], audio(9, 900))
	f.at(night().Add(20 * time.Minute))
	clock := night()
	for _, c := range []struct {
		step time.Duration // by which the clock moves at each reading
		back int
	}{{2 * time.Minute, 0}, {time.Second, 1}} {
		now := func() time.Time { clock = clock.Add(c.step); return clock }
		s := lifecycle.NewSweeper(lifecycle.SweepConfig{}, f.catalog, failingStat{f.store.Recordings(), missing[0]}, f.store.Archives(), now, f.log)
		r, err := s.Sweep(f.ctx)
		f.expectKind(err, domain.KindUnavailable)
		if r.Back != c.back {
			t.Errorf("with %s of each: swept %+v", c.step, r)
		}
	}
}

// Several sweepers at the same time do not disturb each other.
func TestSweepersAtOnce(t *testing.T) {
	f := newPostgresFixture(t)
	for n := range 6 {
		f.add(hour(n), 100)
	}
	f.plan()
	b := f.builder(config())
	keys := make([]string, 6)
	for n := range keys {
		f.must(b.BuildHour(f.ctx, task(n)))
		keys[n] = f.view(n).Archive.ObjectKey
	}
	f.at(day.End().Add(80 * time.Hour)) // past retention
	_, err := f.catalog.ExpireDays(f.ctx, 10)
	f.must(err)
	f.at(day.End().Add(82 * time.Hour))
	results := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := f.sweeper().Sweep(f.ctx)
			results <- err
		}()
	}
	for range 3 {
		f.must(<-results)
	}
	for _, key := range keys {
		if f.exists(f.store.Archives(), key) {
			t.Errorf("%s is still there", key)
		}
	}
}
