package worker_test

import (
	"bytes"
	"context"
	"hash/crc32"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

// lockedFixture has an archives bucket with object lock.
type lockedFixture struct {
	*fixture
	mode objstore.LockMode
	raw  *minio.Client
	cfg  objstore.Config
	// refused counts the deletions that the store refused for good, and tried all that it was asked
	// for.
	refused int
	tried   atomic.Int64
}

// triedArchives counts deletions.
type triedArchives struct {
	lifecycle.Archives
	tried *atomic.Int64
}

func (a triedArchives) Remove(ctx context.Context, key string) error {
	a.tried.Add(1)
	return a.Archives.Remove(ctx, key)
}

func newLockedFixture(t *testing.T, mode objstore.LockMode) *lockedFixture {
	t.Helper()
	f := &lockedFixture{fixture: newFixture(t), mode: mode, cfg: objstoretest.MinIO(t)}
	f.cfg.Lock, f.cfg.Recordings = mode, f.store.Recordings().Name()
	f.store = objstoretest.Open(t, f.cfg)
	var err error
	f.raw, err = minio.New(strings.TrimPrefix(f.cfg.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(f.cfg.AccessKey, f.cfg.SecretKey, "")})
	f.must(err)
	f.add(hour(5), 100)
	f.plan()
	return f
}

// build builds hour 5 again, and gives its key, its version and the end of its lock.
func (f *lockedFixture) build(mode objstore.LockMode) (key, version string, until time.Time) {
	f.Helper()
	_, err := f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 5, Force: true})
	f.must(err)
	cfg := config()
	cfg.Lock = mode
	f.must(f.builder(cfg).BuildHour(f.ctx, task(5)))
	key = f.view(5).Archive.ObjectKey
	info, err := f.store.Archives().Stat(f.ctx, key)
	f.must(err)
	return key, info.VersionID, info.Lock.Until
}

func (f *lockedFixture) sweepLocked(archives lifecycle.Archives) lifecycle.SweepReport {
	f.Helper()
	r, err := lifecycle.NewSweeper(lifecycle.SweepConfig{Lock: f.mode, OnRefused: func() { f.refused++ }},
		f.catalog, f.store.Recordings(), triedArchives{archives, &f.tried}, time.Now, f.log).Sweep(f.ctx)
	f.must(err)
	r.Checked = 0
	return r
}

// want sweeps at a time and compares the report.
func (f *lockedFixture) want(at time.Time, want lifecycle.SweepReport) {
	f.Helper()
	f.at(at)
	if r := f.sweepLocked(f.store.Archives()); r != want || f.refused > 0 {
		f.Errorf("at %s it swept %+v, and the store refused %d deletions; want %+v", at.Format(time.RFC3339), r, f.refused, want)
	}
}

// until gives the end of a version's lock.
func (f *lockedFixture) until(key, version string) time.Time {
	f.Helper()
	info, err := f.store.Archives().StatVersion(f.ctx, key, version)
	f.must(err)
	return info.Lock.Until
}

// shorten lets a lock end, as only a right of its own allows in governance mode. Nothing of
// callvault's can do that.
func (f *lockedFixture) shorten(key, version string) {
	f.Helper()
	mode, until := minio.Governance, time.Now().Add(time.Second)
	f.must(f.raw.PutObjectRetention(f.ctx, f.cfg.Archives, key, minio.PutObjectRetentionOptions{GovernanceBypass: true, Mode: &mode, RetainUntilDate: &until, VersionID: version}))
	testenv.Until(f.T, "the lock ends", func() bool { return time.Now().After(until.Add(time.Second)) })
}

func (f *lockedFixture) setRetention(days int) {
	f.Helper()
	_, err := f.catalog.SetTenant(f.ctx, tenant, func(t *domain.Tenant) { t.RetentionDays = days }, audit.Origin{})
	f.must(err)
}

func (f *lockedFixture) end() time.Time {
	f.Helper()
	v, err := f.catalog.Day(f.ctx, tenant, day)
	f.must(err)
	return v.RetentionEnd
}

// lockEnd is the end of a lock that is set now.
func (f *lockedFixture) lockEnd() time.Time {
	f.Helper()
	return objstore.NewLock(f.mode, catalog.LockEnd(f.end())).Until
}

// An archive is locked from its first moment on, in one part and in several, until a day after its
// day's end. What plain credentials can do to it changes nothing of what is served.
func TestArchivesAreLocked(t *testing.T) {
	for name, size := range map[string]int{"one part": 100, "parts": 6 << 20} {
		t.Run(name, func(t *testing.T) {
			f := newLockedFixture(t, objstore.Compliance)
			f.add(hour(5), size)
			key, version, until := f.build(f.mode)
			if least, most := catalog.LeastLock(f.end()), catalog.LockEnd(f.end()); until.Before(least) || until.After(most.Add(time.Minute)) {
				t.Errorf("it is locked until %s, want %s to %s", until, least, most)
			}
			if err := f.raw.RemoveObject(f.ctx, f.cfg.Archives, key, minio.RemoveObjectOptions{VersionID: version, GovernanceBypass: true}); err == nil {
				t.Error("its version could be deleted")
			}
			f.must(f.raw.RemoveObject(f.ctx, f.cfg.Archives, key, minio.RemoveObjectOptions{})) // a delete marker
			f.want(night().Add(2*time.Hour), lifecycle.SweepReport{})
			_, err := f.store.Archives().Put(f.ctx, key, []byte("another"), objstore.PutOptions{})
			f.must(err)
			f.want(night().Add(4*time.Hour), lifecycle.SweepReport{})
			access, err := f.catalog.LinkAccess(f.ctx, hour(5), f.view(5).Archive.Token, catalog.Holder{})
			f.must(err)
			if access.Archive == nil || access.Archive.VersionID != version {
				t.Errorf("the link gives %+v, want the version %s", access.Archive, version)
			}
		})
	}
}

// A superseded archive and those of an ended day wait for their locks in silence; then they are
// deleted, and once more a day later. Where the catalog's clock is ahead of the store's, the store
// is asked again an hour later.
func TestDeletionsAwaitLocks(t *testing.T) {
	f := newLockedFixture(t, objstore.Governance)
	first, version, _ := f.build(f.mode)
	second, later, until := f.build(f.mode)
	f.want(night().Add(2*time.Hour), lifecycle.SweepReport{Doomed: 1})
	end := f.end()
	f.at(end.Add(time.Minute))
	_, err := f.catalog.ExpireDays(f.ctx, 10)
	f.must(err)
	f.want(end.Add(3*time.Hour), lifecycle.SweepReport{})
	f.want(until.Add(-2*time.Second), lifecycle.SweepReport{})
	if n := f.tried.Load(); n > 0 {
		t.Errorf("the store was asked for %d deletions before the locks had ended", n)
	}
	f.want(until, lifecycle.SweepReport{}) // the store's clock says that it is locked
	f.shorten(first, version)
	f.shorten(second, later)
	f.want(until.Add(time.Minute), lifecycle.SweepReport{}) // it was asked a minute ago
	f.want(until.Add(2*time.Hour), lifecycle.SweepReport{Deleted: 2})
	if f.exists(f.store.Archives(), first) || f.exists(f.store.Archives(), second) {
		t.Error("they are not deleted")
	}
	f.want(until.Add(27*time.Hour), lifecycle.SweepReport{Deleted: 2})
	f.want(until.Add(52*time.Hour), lifecycle.SweepReport{})
}

// A lock is prolonged when retention grows, never shortened when it shrinks, and set on archives
// that were written without one.
func TestLocksFollowRetention(t *testing.T) {
	f := newLockedFixture(t, objstore.Governance)
	key, version, _ := f.build(f.mode)
	f.setRetention(9)
	f.want(night().Add(2*time.Hour), lifecycle.SweepReport{Locked: 1})
	longer := f.until(key, version)
	if want := f.lockEnd(); !longer.Equal(want) {
		t.Errorf("it is locked until %s, want %s", longer, want)
	}
	f.setRetention(3)
	f.want(night().Add(4*time.Hour), lifecycle.SweepReport{})
	if now := f.until(key, version); !now.Equal(longer) {
		t.Errorf("it is locked until %s, and was until %s", now, longer)
	}
	bare, version, until := f.build(objstore.NoLock)
	if !until.IsZero() {
		t.Fatal("it is locked already")
	}
	f.want(night().Add(6*time.Hour), lifecycle.SweepReport{Locked: 1, Doomed: 1})
	if now, want := f.until(bare, version), f.lockEnd(); !now.Equal(want) {
		t.Errorf("an archive from before is locked until %s, want %s", now, want)
	}
}

// Archives that the store does not lock long enough are counted until it does.
func TestLocksThatAreRefused(t *testing.T) {
	f := newLockedFixture(t, objstore.Governance)
	key, version, _ := f.build(objstore.NoLock)
	short := func(want int64) {
		t.Helper()
		if n, err := f.catalog.LocksShort(f.ctx); err != nil || n != want {
			t.Errorf("%d locks are too short (%v), want %d", n, err, want)
		}
	}
	cfg := f.cfg
	cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !r.URL.Query().Has("retention") {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	}, nil)
	f.at(night().Add(2 * time.Hour))
	if r := f.sweepLocked(objstoretest.Open(t, cfg).Archives()); r != (lifecycle.SweepReport{}) {
		t.Errorf("swept %+v", r)
	}
	short(1)
	f.want(night().Add(4*time.Hour), lifecycle.SweepReport{Locked: 1})
	short(0)
	if f.until(key, version).IsZero() {
		t.Error("it is not locked")
	}
}

// While a hold lasts, what it keeps of an ended day stays locked for the next days.
func TestHeldArchivesStayLocked(t *testing.T) {
	f := newLockedFixture(t, objstore.Governance)
	key, version, until := f.build(f.mode)
	_, err := f.catalog.CreateHold(f.ctx, holds.Order{Tenant: tenant, Name: "claim", Reason: "a claim", All: true}, audit.Origin{})
	f.must(err)
	f.at(f.end().Add(time.Minute))
	_, err = f.catalog.ExpireDays(f.ctx, 10)
	f.must(err)
	for _, at := range []time.Time{until, until.Add(30 * 24 * time.Hour)} {
		f.want(at, lifecycle.SweepReport{Locked: 1})
		if now := f.until(key, version); now.Before(at.Add(7 * 24 * time.Hour)) {
			t.Errorf("at %s it is locked until %s", at, now)
		}
		f.want(at.Add(2*time.Hour), lifecycle.SweepReport{})
	}
}

// An upload that completed and was never published is locked as well: it waits for its lock, and
// goes, though nobody knows its version. One that did not complete is aborted at once.
func TestUnpublishedArchivesAreLocked(t *testing.T) {
	f := newLockedFixture(t, objstore.Governance)
	archives := f.store.Archives()
	claim, ok, err := f.catalog.Claim(f.ctx, hour(5), "killed")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	lock := objstore.NewLock(f.mode, catalog.LockEnd(claim.DayEnd))
	claim.LockUntil = lock.Until
	f.must(f.catalog.StartArchive(f.ctx, claim))
	key := claim.ObjectKey()
	begin := func() string {
		id, err := archives.NewUpload(f.ctx, key, objstore.UploadOptions{ContentType: "application/zip", Lock: lock})
		f.must(err)
		return id
	}
	done, open := begin(), begin()
	f.must(f.catalog.SetUpload(f.ctx, claim, done))
	data := bytes.Repeat([]byte("x"), 100)
	part, err := archives.PutPart(f.ctx, key, done, 1, data, crc32.ChecksumIEEE(data))
	f.must(err)
	_, err = archives.Complete(f.ctx, key, done, []objstore.Part{part}, objstore.CompleteOptions{IfNoneMatch: true})
	f.must(err) // and here it is killed
	info, err := archives.Stat(f.ctx, key)
	f.must(err)
	if info.Lock != lock {
		t.Errorf("its lock is %v, want %v", info.Lock, lock)
	}
	f.at(night().Add(time.Minute))
	_, err = f.catalog.ReleaseLapsed(f.ctx, 10)
	f.must(err)
	f.want(night().Add(2*time.Minute), lifecycle.SweepReport{Kept: 1})
	_, err = archives.PutPart(f.ctx, key, open, 1, data, crc32.ChecksumIEEE(data))
	f.expectKind(err, domain.KindLost)
	end := f.end()
	f.at(end.Add(time.Minute))
	_, err = f.catalog.ExpireDays(f.ctx, 10)
	f.must(err)
	f.want(end.Add(2*time.Minute), lifecycle.SweepReport{Kept: 1})
	f.shorten(key, info.VersionID)
	f.want(lock.Until.Add(24*time.Hour), lifecycle.SweepReport{Deleted: 1})
	if there, err := archives.Exists(f.ctx, key); err != nil || there {
		t.Error("it is still there: ", err)
	}
}

// lostArchives loses the answer to Complete.
type lostArchives struct{ worker.Archives }

func (l lostArchives) Complete(ctx context.Context, key, id string, parts []objstore.Part, opts objstore.CompleteOptions) (string, error) {
	if _, err := l.Archives.Complete(ctx, key, id, parts, opts); err != nil {
		return "", err
	}
	return "", domain.Errorf(domain.KindUnavailable, "the answer is lost")
}

// The version and the lock of an archive are known also if the answer to its Complete is lost.
func TestVersionWithoutAnAnswer(t *testing.T) {
	f := newLockedFixture(t, objstore.Compliance)
	f.add(hour(5), 6<<20)
	cfg := config()
	cfg.Lock = f.mode
	f.must(worker.NewBuilder(cfg, f.catalog, f.store.Recordings(), lostArchives{f.store.Archives()}, time.Now, f.log).BuildHour(f.ctx, task(5)))
	served, err := f.catalog.Unchecked(f.ctx, -time.Hour, 10)
	f.must(err)
	if len(served) != 1 || served[0].VersionID == "" || served[0].LockedUntil.Before(catalog.LeastLock(f.end())) {
		t.Errorf("the catalog has %d archives, %#v", len(served), served)
	}
}
