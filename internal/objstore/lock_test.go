package objstore_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

// locked is an archives bucket with object lock, and a plain client of it.
type locked struct {
	*testing.T
	*objstore.Bucket
	raw *minio.Client
	cfg objstore.Config
}

func newLocked(t *testing.T, mode objstore.LockMode) *locked {
	t.Helper()
	cfg := objstoretest.MinIO(t)
	cfg.Lock = mode
	raw, err := minio.New(strings.TrimPrefix(cfg.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	return &locked{T: t, Bucket: objstoretest.Open(t, cfg).Archives(), raw: raw, cfg: cfg}
}

func (l *locked) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// put writes an object in one request, or in parts, and gives its version.
func (l *locked) put(key, text string, parts bool, lock objstore.Lock) string {
	l.Helper()
	ctx, data := l.Context(), []byte(text)
	if parts {
		id, err := l.NewUpload(ctx, key, objstore.UploadOptions{Lock: lock})
		l.must(err)
		part, err := l.PutPart(ctx, key, id, 1, data, crc32.ChecksumIEEE(data))
		l.must(err)
		_, err = l.Complete(ctx, key, id, []objstore.Part{part}, objstore.CompleteOptions{IfNoneMatch: true})
		l.must(err)
	} else {
		_, err := l.Put(ctx, key, data, objstore.PutOptions{Lock: lock})
		l.must(err)
	}
	info, err := l.Stat(ctx, key)
	l.must(err)
	if info.Lock != lock || info.VersionID == "" {
		l.Errorf("%s is stored as version %q with the lock %v, want %v", key, info.VersionID, info.Lock, lock)
	}
	return info.VersionID
}

// holds fails unless a version has these bytes.
func (l *locked) holds(key, version, want string) {
	l.Helper()
	o, err := l.Get(l.Context(), key, objstore.GetOptions{Version: version})
	l.must(err)
	got, err := io.ReadAll(o.Body)
	l.must(err)
	l.must(o.Body.Close())
	if string(got) != want {
		l.Errorf("%s has %q, want %q", key, got, want)
	}
}

func inTime(mode objstore.LockMode, d time.Duration) objstore.Lock {
	return objstore.NewLock(mode, time.Now().Add(d))
}

// A locked version can be deleted neither through callvault nor by plain S3 credentials; the
// refusal says until when. What others put over it changes nothing of it.
func TestLock(t *testing.T) {
	for _, mode := range []objstore.LockMode{objstore.Governance, objstore.Compliance} {
		for name, parts := range map[string]bool{"in one request": false, "in parts": true} {
			t.Run(mode.String()+" "+name, func(t *testing.T) {
				l := newLocked(t, mode)
				ctx, lock := t.Context(), inTime(mode, time.Hour)
				version := l.put("a", "archive", parts, lock)
				if got, ok := objstore.LockOf(l.Remove(ctx, "a")); !ok || got != lock {
					t.Errorf("it is refused for the lock %v (%v), want %v", got, ok, lock)
				}
				if err := l.raw.RemoveObject(ctx, l.Name(), "a", minio.RemoveObjectOptions{VersionID: version}); err == nil {
					t.Error("plain credentials could delete it")
				}
				l.must(l.raw.RemoveObject(ctx, l.Name(), "a", minio.RemoveObjectOptions{})) // a delete marker
				l.holds("a", version, "archive")
				if there, err := l.Exists(ctx, "a"); err != nil || !there {
					t.Error("below a delete marker it does not exist: ", err)
				}
				_, err := l.Put(ctx, "a", []byte("another"), objstore.PutOptions{})
				l.must(err)
				l.holds("a", version, "archive")
				if info, err := l.StatVersion(ctx, "a", version); err != nil || info.Size != 7 || info.Lock != lock {
					t.Errorf("it is described as %+v, %v", info, err)
				}
				link, err := l.Presign(ctx, "a", time.Minute, objstore.PresignOptions{Version: version})
				l.must(err)
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
				l.must(err)
				answer, err := http.DefaultClient.Do(request)
				l.must(err)
				defer answer.Body.Close()
				if got, err := io.ReadAll(answer.Body); err != nil || string(got) != "archive" {
					t.Errorf("a signed link gives %q, %v", got, err)
				}
			})
		}
	}
}

// A lock that has ended lets everything go, and only of the one key.
func TestLockEnds(t *testing.T) {
	l := newLocked(t, objstore.Compliance)
	ctx := t.Context()
	l.put("a", "archive", true, inTime(objstore.Compliance, 2*time.Second))
	other := l.put("a2", "other", false, objstore.Lock{})
	testenv.Until(t, "the lock ends", func() bool { return l.Remove(ctx, "a") == nil })
	if there, err := l.Exists(ctx, "a"); err != nil || there {
		t.Error("it is still there: ", err)
	}
	l.holds("a2", other, "other")
	l.must(l.Remove(ctx, "a")) // it does not exist
}

// An erasure deletes what is locked in governance mode. In compliance mode it says when the lock
// ends, and whose bytes others put over the key.
func TestErase(t *testing.T) {
	for _, mode := range []objstore.LockMode{objstore.NoLock, objstore.Governance, objstore.Compliance} {
		t.Run(mode.String(), func(t *testing.T) {
			l := newLocked(t, mode)
			ctx, lock := t.Context(), inTime(mode, time.Hour)
			if mode == objstore.NoLock {
				_, err := l.Put(ctx, "a", []byte("archive"), objstore.PutOptions{})
				l.must(err)
			} else {
				l.put("a", "archive", true, lock)
			}
			err := l.Erase(ctx, "a")
			if got, ok := objstore.LockOf(err); mode == objstore.Compliance {
				if !ok || got != lock || domain.KindOf(err) != domain.KindRefused || !strings.Contains(err.Error(), "locked (compliance) until "+lock.Until.Format(time.RFC3339)) {
					t.Errorf("it is refused for %v: %v", got, err)
				}
				return
			}
			l.must(err)
			if there, err := l.Exists(ctx, "a"); err != nil || there {
				t.Error("it is still there: ", err)
			}
		})
	}
}

// Two sweepers erase one archive: who comes second is not told that the store refuses it.
func TestErasedTwiceAtOnce(t *testing.T) {
	l := newLocked(t, objstore.Governance)
	for n := range 10 {
		key := fmt.Sprint(n)
		l.put(key, "archive", true, inTime(objstore.Governance, time.Hour))
		var group errgroup.Group
		for range 8 {
			group.Go(func() error { return l.Erase(t.Context(), key) })
		}
		l.must(group.Wait())
	}
}

// A refusal whose reason the store does not tell, because it does not answer, is an outage.
func TestRemoveOfWhatIsLockedInAnOutage(t *testing.T) {
	l := newLocked(t, objstore.Compliance)
	l.put("a", "archive", true, inTime(objstore.Compliance, time.Hour))
	cfg := l.cfg
	cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Has("retention") && answer(w, http.StatusConflict, "OperationAborted")
	}, nil)
	if err := objstoretest.Open(t, cfg).Archives().Remove(t.Context(), "a"); domain.KindOf(err) != domain.KindUnavailable || objstore.Refused(err) {
		t.Error(err)
	}
}

// A lock is prolonged and never shortened, and keeps its mode while it lasts.
func TestProlong(t *testing.T) {
	l := newLocked(t, objstore.Governance)
	ctx := t.Context()
	hour, day := inTime(objstore.Governance, time.Hour), inTime(objstore.Governance, 24*time.Hour)
	bare, locked := l.put("a", "bare", true, objstore.Lock{}), l.put("b", "locked", true, hour)
	for _, c := range []struct {
		key, version string
		want, is     objstore.Lock
	}{
		{"a", bare, hour, hour},
		{"b", locked, day, day},
		{"b", locked, hour, day},
		{"b", locked, objstore.Lock{Mode: objstore.Compliance, Until: day.Until.Add(time.Hour)}, objstore.Lock{Mode: objstore.Governance, Until: day.Until.Add(time.Hour)}},
	} {
		got, err := l.Prolong(ctx, c.key, c.version, c.want)
		l.must(err)
		info, err := l.StatVersion(ctx, c.key, c.version)
		l.must(err)
		if got != c.is || info.Lock != c.is {
			t.Errorf("%s should be locked %v: it is %v, and Prolong says %v", c.key, c.is, info.Lock, got)
		}
	}
	if _, err := l.Prolong(ctx, "none", bare, hour); domain.KindOf(err) != domain.KindNotFound {
		t.Error("what does not exist is locked: ", err)
	}
}

// Only a bucket with object lock, and without a default lock, will do.
func TestCheckLock(t *testing.T) {
	l := newLocked(t, objstore.Governance)
	l.must(l.CheckLock(t.Context()))
	mode, days, unit := minio.Governance, uint(1), minio.Days
	l.must(l.raw.SetBucketObjectLockConfig(t.Context(), l.Name(), &mode, &days, &unit))
	if err := l.CheckLock(t.Context()); domain.KindOf(err) != domain.KindRefused || !strings.Contains(err.Error(), "mc retention clear --default") {
		t.Error("a default lock: ", err)
	}
	cfg := objstoretest.MinIO(t)
	objstoretest.Open(t, cfg)
	cfg.Lock = objstore.Governance
	if err := objstoretest.Open(t, cfg).Archives().CheckLock(t.Context()); domain.KindOf(err) != domain.KindRefused || !strings.Contains(err.Error(), "CALLVAULT_ARCHIVES_LOCK=governance needs") {
		t.Error("no object lock: ", err)
	}
}

// TestTryLock tries locks: what the store lacks is named, and all that stays is one object, which
// the next trial deletes.
func TestTryLock(t *testing.T) {
	for name, c := range map[string]struct {
		mine  func(w http.ResponseWriter, r *http.Request) bool
		lacks []string
	}{
		"all is well": {},
		"versions can't be named": {mine: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method != http.MethodDelete && r.URL.Query().Has("versionId") && !r.URL.Query().Has("retention") && answer(w, http.StatusForbidden, "AccessDenied")
		}, lacks: []string{objstore.CanNameVersions, objstore.CanLock(objstore.Compliance)}},
		"locks are refused": {mine: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("X-Amz-Object-Lock-Mode") != "" && answer(w, http.StatusForbidden, "AccessDenied")
		}, lacks: []string{objstore.CanLock(objstore.Compliance)}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocked(t, objstore.Compliance)
			former := ""
			if c.mine == nil { // an earlier trial's object, whose lock has ended
				lock := inTime(objstore.Compliance, 2*time.Second)
				former = l.put("callvault/probes/"+objstore.LockProbe, "former", false, lock)
				testenv.Until(t, "the lock ends", func() bool { return time.Now().After(lock.Until.Add(time.Second)) })
			}
			cfg := l.cfg
			cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, c.mine, nil)
			results, err := objstoretest.Open(t, cfg).Archives().Try(t.Context(), "callvault/probes/", true)
			l.must(err)
			var lacks []string
			for _, r := range results {
				if !r.Has && r.Name != objstore.CanLongParts {
					lacks = append(lacks, r.Name)
				}
			}
			if !slices.Equal(lacks, c.lacks) {
				t.Errorf("it lacks %v, want %v: %+v", lacks, c.lacks, results)
			}
			var left []string
			for v := range l.raw.ListObjectsIter(t.Context(), l.Name(), minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
				l.must(v.Err)
				left = append(left, v.Key)
				if v.VersionID == former {
					t.Error("the former trial's object is still there")
				}
			}
			if len(left) > 1 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

// The bytes of a version are pinned by its name and its ETag.
func TestVersionsOfAnUnlockedBucket(t *testing.T) {
	l := newLocked(t, objstore.NoLock)
	ctx := t.Context()
	l.must(l.raw.EnableVersioning(ctx, l.Name()))
	version := l.put("a", "archive", false, objstore.Lock{})
	_, err := l.Put(ctx, "a", bytes.Repeat([]byte("x"), 9), objstore.PutOptions{})
	l.must(err)
	l.holds("a", version, "archive")
	l.must(l.raw.RemoveObject(ctx, l.Name(), "a", minio.RemoveObjectOptions{VersionID: version}))
	if _, err := l.StatVersion(ctx, "a", version); domain.KindOf(err) != domain.KindNotFound {
		t.Error("a deleted version: ", err)
	}
	l.holds("a", "", "xxxxxxxxx")
}
