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
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

func (w *world) sweep() worker.Swept {
	w.Helper()
	r, err := w.sweeper().Sweep(w.ctx)
	w.must(err)
	return r
}

// A revision that was replaced goes an hour later, and only that.
func TestSweepSuperseded(t *testing.T) {
	w := newWorld(t)
	w.add(hour(5), 100)
	w.plan()
	b := w.builder(config())
	w.must(b.Hour(w.ctx, task(5)))
	first := w.view(5).Archive.ObjectKey
	w.add(hour(5), 200)
	_, err := w.catalog.Rebuild(w.ctx, tenant, day, 5, false)
	w.must(err)
	w.must(b.Hour(w.ctx, task(5)))
	second := w.view(5).Archive.ObjectKey
	if r := w.sweep(); r.Deleted != 0 || !w.exists(w.store.Archives(), first) {
		t.Errorf("deleted too early: %+v", r)
	}
	w.at(night().Add(2 * time.Hour))
	if r := w.sweep(); r.Doomed != 1 || r.Deleted != 1 || w.exists(w.store.Archives(), first) || !w.exists(w.store.Archives(), second) {
		t.Errorf("after an hour: %+v", r)
	}
	w.at(night().Add(27 * time.Hour))
	if r := w.sweep(); r.Deleted != 1 {
		t.Errorf("the second look: %+v", r)
	}
	w.at(night().Add(29 * time.Hour))
	if r := w.sweep(); r.Deleted != 0 || r.Gone != 0 {
		t.Errorf("nothing is left to do: %+v", r)
	}
	w.served(5)
}

// On a bucket that keeps versions nothing of a replaced archive stays stored, and all of its
// neighbours does. The archive is one from before the prefix was changed.
func TestSweepVersions(t *testing.T) {
	file := "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")
	w := openWorld(t, file)
	before, err := catalog.Open(w.ctx, file, catalog.Rules{ArchivesPrefix: "before"})
	w.must(err)
	defer func() { w.must(before.Close()) }()
	s3 := testenv.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(s3.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, "")})
	w.must(err)
	archives := w.store.Archives()
	w.must(client.EnableVersioning(w.ctx, archives.Name()))
	w.add(hour(5), 100)
	w.plan()
	b := w.builder(config())
	w.must(worker.NewBuilder(config(), before, w.store.Recordings(), archives, time.Now, w.log).Hour(w.ctx, task(5)))
	w.served(5)
	first := w.view(5).Archive.ObjectKey
	w.add(hour(5), 200)
	_, err = w.catalog.Rebuild(w.ctx, tenant, day, 5, false)
	w.must(err)
	w.must(b.Hour(w.ctx, task(5)))
	second := w.view(5).Archive.ObjectKey
	if !strings.HasPrefix(first, "before/archives/") || !strings.HasPrefix(second, "callvault/archives/") {
		t.Errorf("the archives are %s and %s", first, second)
	}
	for _, key := range []string{first, first + "2", first + ".d/x"} { // the first gets another version
		_, err := archives.Put(w.ctx, key, []byte("x"), objstore.PutOptions{})
		w.must(err)
	}
	w.at(night().Add(2 * time.Hour))
	if r := w.sweep(); r.Deleted != 1 {
		t.Errorf("swept %+v", r)
	}
	left := map[string]int{}
	for v := range client.ListObjectsIter(w.ctx, archives.Name(), minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		w.must(v.Err)
		left[v.Key]++
	}
	if want := map[string]int{second: 1, first + "2": 1, first + ".d/x": 1}; !maps.Equal(left, want) {
		t.Errorf("versions left: %v, want %v", left, want)
	}
}

// What a builder left when it was killed is aborted and deleted, also when
// nobody remembers the upload's id.
func TestSweepAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.add(hour(5), 100)
	w.plan()
	claim, ok, err := w.catalog.Claim(w.ctx, hour(5), "killed")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.must(w.catalog.StartArchive(w.ctx, claim))
	archives := w.store.Archives()
	remembered, err := archives.NewUpload(w.ctx, claim.ObjectKey(), "application/zip")
	w.must(err)
	w.must(w.catalog.SetUpload(w.ctx, claim, remembered))
	forgotten, err := archives.NewUpload(w.ctx, claim.ObjectKey(), "application/zip")
	w.must(err)
	longer, err := archives.NewUpload(w.ctx, claim.ObjectKey()+".other", "application/zip")
	w.must(err)
	if r := w.sweep(); r.Doomed != 0 || r.Deleted != 0 {
		t.Errorf("a running build was swept: %+v", r)
	}
	w.at(night().Add(time.Minute))
	_, err = w.catalog.ReleaseLapsed(w.ctx, 10)
	w.must(err)
	if r := w.sweep(); r.Deleted != 1 {
		t.Errorf("swept %+v", r)
	}
	for _, id := range []string{remembered, forgotten} {
		late := []byte("late")
		_, err := archives.PutPart(w.ctx, claim.ObjectKey(), id, 1, late, crc32.ChecksumIEEE(late))
		w.expectKind(err, domain.KindLost)
	}
	w.must(archives.Abort(w.ctx, claim.ObjectKey()+".other", longer))
}

// A catalog restored from a backup takes an archive that was published since for
// one that was never finished. Its object stays as long as its day does.
func TestSweepAfterARestore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "catalog.db")
	w := openWorld(t, "sqlite://"+file)
	w.add(hour(5), 100)
	w.add(hour(6), 100)
	w.plan()
	archives := w.store.Archives()
	unfinished, ok, err := w.catalog.Claim(w.ctx, hour(6), "killed")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.must(w.catalog.StartArchive(w.ctx, unfinished))
	backup := file + ".bak"
	stalled := &stalling{Archives: archives, at: func() { w.backUp(file, backup) }}
	w.must(worker.NewBuilder(config(), w.catalog, w.store.Recordings(), stalled, time.Now, w.log).Hour(w.ctx, task(5)))
	newer := w.view(5).Archive.ObjectKey

	w.restore(backup)
	if v := w.view(5); v.State != catalog.StatePending {
		t.Fatalf("in the backup the hour is %s", v.State)
	}
	w.at(night().Add(time.Minute))
	_, err = w.catalog.ReleaseLapsed(w.ctx, 10)
	w.must(err)
	if r := w.sweep(); r.Spared != 1 || r.Deleted != 1 || !w.exists(archives, newer) {
		t.Errorf("what is newer than the backup: %+v", r)
	}
	w.must(w.builder(config()).Hour(w.ctx, task(5)))
	w.served(5)
	again := w.view(5).Archive.ObjectKey
	if again == newer {
		t.Error("the hour was not built again")
	}
	if r := w.sweep(); r.Spared+r.Deleted != 0 {
		t.Errorf("again at once: %+v", r)
	}
	w.at(night().Add(25 * time.Hour))
	if r := w.sweep(); r.Spared != 1 || r.Deleted != 1 || !w.exists(archives, newer) {
		t.Errorf("a day later: %+v", r)
	}
	w.at(day.End().Add(80 * time.Hour))
	_, err = w.catalog.ExpireDays(w.ctx, 10)
	w.must(err)
	w.at(day.End().Add(82 * time.Hour))
	if r := w.sweep(); r.Spared != 0 || w.exists(archives, newer) || w.exists(archives, again) {
		t.Errorf("past retention: %+v", r)
	}
}

// backUp copies a SQLite catalog as operators do.
func (w *world) backUp(file, to string) {
	w.Helper()
	db, err := sql.Open("sqlite", file)
	w.must(err)
	_, err = db.ExecContext(w.ctx, "VACUUM INTO $1", to)
	w.must(errors.Join(err, db.Close()))
}

// restore goes on with the catalog of a backup.
func (w *world) restore(file string) {
	w.Helper()
	c, err := catalog.Open(w.ctx, "sqlite://"+file, catalog.Rules{Lease: 300 * time.Millisecond})
	w.must(err)
	w.Cleanup(func() { w.must(c.Close()) })
	w.catalog = c
}

// stalling calls at before the first object is written.
type stalling struct {
	worker.Archives
	at   func()
	once sync.Once
}

func (s *stalling) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error) {
	s.once.Do(s.at)
	return s.Archives.Put(ctx, key, data, opts)
}

// Only what the store says is not there is gone.
func TestSweepFindsGoneArchives(t *testing.T) {
	w := newWorld(t)
	for n := range 3 {
		w.add(hour(n), 100)
	}
	w.plan()
	b := w.builder(config())
	for n := range 3 {
		w.must(b.Hour(w.ctx, task(n)))
	}
	archives := w.store.Archives()
	if r := w.sweep(); r.Checked != 0 {
		t.Errorf("looked up at once: %+v", r)
	}
	w.at(night().Add(2 * time.Hour))
	w.must(archives.Remove(w.ctx, w.view(0).Archive.ObjectKey))
	_, err := archives.Put(w.ctx, w.view(1).Archive.ObjectKey, []byte("torn"), objstore.PutOptions{})
	w.must(err)

	s3 := testenv.MinIO(t)
	elsewhere, err := objstore.New(objstore.Config{Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey,
		SecretKey: s3.SecretKey, Recordings: "no-such-bucket", Archives: "no-such-bucket"})
	w.must(err)
	t.Cleanup(elsewhere.Close)
	blind := worker.NewSweeper(worker.SweepConfig{}, w.catalog, w.catalog, elsewhere.Recordings(), elsewhere.Archives(), w.log)
	r, err := blind.Sweep(w.ctx)
	w.expectKind(err, domain.KindUnavailable)
	if r.Gone != 0 {
		t.Fatalf("a missing bucket made %d archives gone", r.Gone)
	}
	if r := w.sweep(); r.Gone != 2 || r.Checked != 1 {
		t.Errorf("swept %+v", r)
	}
	for n := range 3 {
		w.must(b.Hour(w.ctx, task(n)))
		w.served(n)
	}
	if r := w.sweep(); r.Gone != 0 || r.Checked != 0 {
		t.Errorf("looked up again at once: %+v", r)
	}
}

// A recording that was missing comes back; one whose bytes are others does not.
func TestSweepLooksForMissingRecordings(t *testing.T) {
	w := newWorld(t)
	w.add(hour(1), 100)
	back := w.recording(hour(1), nil)
	w.add(hour(2), 100)
	size := int64(55)
	w.put(w.recording(hour(2), &size), audio(1, 54))
	w.add(hour(3), 100)
	w.recording(hour(3), nil)
	w.plan()
	b := w.builder(config())
	for n := 1; n <= 3; n++ {
		w.must(b.Hour(w.ctx, task(n)))
		if v := w.view(n); v.Archive.MissingCount != 1 {
			t.Fatalf("hour %d lacks %d", n, v.Archive.MissingCount)
		}
	}
	w.put(back, audio(9, 900))
	if r := w.sweep(); r.Back != 0 {
		t.Errorf("looked for too early: %+v", r)
	}
	w.at(night().Add(20 * time.Minute))
	if r := w.sweep(); r.Back != 1 {
		t.Errorf("after 15 minutes: %+v", r)
	}
	for n := 1; n <= 3; n++ {
		w.must(b.Hour(w.ctx, task(n)))
		want := int64(1)
		if n == 1 {
			want = 2
		}
		if v := w.view(n); v.Revision != want {
			t.Errorf("hour %d has revision %d", n, v.Revision)
		}
	}
	if v := w.view(1); v.Archive.MissingCount != 0 || v.Archive.Files != 2 {
		t.Errorf("the recording that came back is missing still: %+v", v.Archive)
	}
}

// A recording of which the store tells nothing does not keep those of other hours from being found,
// unless the sweep has waited for it too long.
func TestSweepLooksPastAFailure(t *testing.T) {
	w := newWorld(t)
	var missing []string
	for n := range 2 {
		w.add(hour(n), 100)
		missing = append(missing, w.recording(hour(n), nil))
	}
	w.plan()
	b := w.builder(config())
	for n := range 2 {
		w.must(b.Hour(w.ctx, task(n)))
	}
	w.put(missing[1], audio(9, 900))
	w.at(night().Add(20 * time.Minute))
	clock := night()
	for _, c := range []struct {
		step time.Duration // from one look at the clock to the next
		back int
	}{{2 * time.Minute, 0}, {time.Second, 1}} {
		now := func() time.Time { clock = clock.Add(c.step); return clock }
		s := worker.NewSweeper(worker.SweepConfig{Now: now}, w.catalog, w.catalog, mute{w.store.Recordings(), missing[0]}, w.store.Archives(), w.log)
		r, err := s.Sweep(w.ctx)
		w.expectKind(err, domain.KindUnavailable)
		if r.Back != c.back {
			t.Errorf("with %s of each: swept %+v", c.step, r)
		}
	}
}

// Many sweepers at once do it once.
func TestSweepersAtOnce(t *testing.T) {
	w := newPostgresWorld(t)
	for n := range 6 {
		w.add(hour(n), 100)
	}
	w.plan()
	b := w.builder(config())
	keys := make([]string, 6)
	for n := range keys {
		w.must(b.Hour(w.ctx, task(n)))
		keys[n] = w.view(n).Archive.ObjectKey
	}
	w.at(day.End().Add(80 * time.Hour)) // past retention
	_, err := w.catalog.ExpireDays(w.ctx, 10)
	w.must(err)
	w.at(day.End().Add(82 * time.Hour))
	results := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := w.sweeper().Sweep(w.ctx)
			results <- err
		}()
	}
	for range 3 {
		w.must(<-results)
	}
	for _, key := range keys {
		if w.exists(w.store.Archives(), key) {
			t.Errorf("%s is still there", key)
		}
	}
}
