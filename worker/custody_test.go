package worker_test

import (
	"context"
	"crypto/sha256"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/dir"
	"github.com/callvault/callvault/worker"
)

// custody gives what the catalog knows of a recording's sum: its origin, if it is that of data, and
// its ETag; "" for nothing.
func (f *fixture) custody(key string, data []byte) (origin, etag string) {
	f.Helper()
	var sum *domain.SHA256
	var from, of *string
	f.must(f.catalog.DB().QueryRowContext(f.ctx, `SELECT sha256, sha256_origin, etag FROM recordings WHERE tenant = $1 AND object_key = $2`,
		tenant, key).Scan(&sum, &from, &of))
	if sum == nil {
		return "", ""
	}
	if *sum != sha256.Sum256(data) || of == nil {
		f.Fatalf("%s has the sum %s, of %v", key, sum, of)
	}
	return *from, *of
}

// bitRot is a store of recordings whose bytes a test can change behind its back.
type bitRot interface {
	worker.Recordings
	flip(key string, data []byte)
}

type s3Rot struct {
	*objstore.Bucket
	f *fixture
}

// flip replaces an object: S3 gives it another ETag.
func (r s3Rot) flip(key string, data []byte) {
	_, err := r.Put(r.f.ctx, key, data, objstore.PutOptions{})
	r.f.must(err)
}

type dirRot struct {
	*dir.Bucket
	f    *fixture
	path string
}

// flip changes a file as a bad disk does: its time of change and its side file stay.
func (r dirRot) flip(key string, data []byte) {
	name := filepath.Join(r.path, filepath.FromSlash(key))
	info, err := os.Stat(name)
	r.f.must(err)
	r.f.must(os.WriteFile(name, data, 0o600))
	r.f.must(os.Chtimes(name, time.Time{}, info.ModTime()))
}

func onBothStores(t *testing.T, test func(f *fixture, recordings bitRot)) {
	t.Run("s3", func(t *testing.T) {
		f := newPostgresFixture(t)
		test(f, s3Rot{f.store.Recordings(), f})
	})
	t.Run("directory", func(t *testing.T) {
		f := newFixture(t)
		path := filepath.Join(t.TempDir(), "recordings")
		bucket, err := dir.Open(dir.Config{Path: path, Alone: true})
		f.must(err)
		t.Cleanup(func() { f.must(bucket.Close()) })
		test(f, dirRot{bucket, f, path})
	})
}

// A build learns the sums of its recordings. A later one leaves out whatever has other bytes by
// then, whether its CRC-32 is known or not, and names it.
func TestCustody(t *testing.T) {
	onBothStores(t, func(f *fixture, recordings bitRot) {
		const files = 8
		data, keys := make([][]byte, files), make([]string, files)
		for i := range files {
			data[i] = audio(int64(i+1), 3000+i)
			size, crc := int64(len(data[i])), crc32.ChecksumIEEE(data[i])
			if i%2 == 0 {
				keys[i] = f.recording(hour(7), &size)
			} else {
				keys[i] = f.recordingWithSum(hour(7), &size, &crc)
			}
			_, err := recordings.(putter).Put(f.ctx, keys[i], data[i], objstore.PutOptions{})
			f.must(err)
		}
		f.plan()
		b := worker.NewBuilder(config(), f.catalog, recordings, f.store.Archives(), time.Now, f.log)
		f.must(b.BuildHour(f.ctx, task(7)))
		for i, key := range keys {
			info, err := recordings.Stat(f.ctx, key)
			f.must(err)
			if origin, etag := f.custody(key, data[i]); origin != domain.SumBuild || etag != info.ETag {
				t.Errorf("%s: from %q, of %q, the store has %q", key, origin, etag, info.ETag)
			}
		}
		broken := keys[:6] // more than a build restarts
		for i, key := range broken {
			other := slices.Clone(data[i])
			other[i*500] ^= 1
			recordings.flip(key, other)
		}
		_, err := f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 7, Force: true})
		f.must(err)
		f.must(b.BuildHour(f.ctx, task(7)))
		if z := f.served(7); len(z.File) != files-len(broken)+2 {
			t.Errorf("%d entries", len(z.File))
		}
		story, err := f.catalog.HourHistory(f.ctx, hour(7))
		f.must(err)
		for i, m := range story.Missing {
			other := slices.Clone(data[i])
			other[i*500] ^= 1
			if m.ObjectKey != broken[i] || m.Reason != catalog.ReasonChecksum || *m.SHA256 != sha256.Sum256(other) {
				t.Errorf("missing: %+v", m)
			}
		}
		lines, err := f.catalog.LatestAudit(f.ctx, tenant, day, 7, 9)
		f.must(err)
		told := slices.DeleteFunc(lines, func(e audit.Entry) bool { return e.Action != catalog.ActionMismatch })
		if len(story.Missing) != len(broken) || len(told) != 1 {
			t.Errorf("%d missing, %d audit lines", len(story.Missing), len(told))
		}
	})
}

// putter stores objects.
type putter interface {
	Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error)
}

// learning is a catalog that fails to learn sums for some time, and to commit.
type learning struct {
	worker.Builds
	away, killed int
}

func (l *learning) LearnSums(ctx context.Context, tenant string, day domain.Day, origin string, sums []catalog.LearntSum) error {
	if l.away--; l.away >= 0 {
		return domain.Errorf(domain.KindUnavailable, "away")
	}
	return l.Builds.LearnSums(ctx, tenant, day, origin, sums)
}

func (l *learning) Commit(ctx context.Context, c catalog.Claim, r catalog.BuildResult) error {
	if l.killed--; l.killed >= 0 {
		return domain.Errorf(domain.KindStoreFault, "killed between learning and commit")
	}
	return l.Builds.Commit(ctx, c, r)
}

// A build goes on when the catalog was away while it learnt. After one that learnt and did not
// commit, the next one compares.
func TestLearningIsInterrupted(t *testing.T) {
	f := newFixture(t)
	key := f.add(hour(7), 3000)
	f.plan()
	l := &learning{Builds: f.catalog, away: 2, killed: 1}
	b := worker.NewBuilder(config(), l, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
	f.expectKind(b.BuildHour(f.ctx, task(7)), domain.KindStoreFault)
	if origin, etag := f.custody(key, audio(1, 3000)); origin != domain.SumBuild || etag == "" {
		t.Errorf("learnt from %q, of %q", origin, etag)
	}
	f.at(night().Add(time.Hour))
	f.must(b.BuildHour(f.ctx, task(7)))
	if v := f.view(7); v.Archive.Files != 1 || l.away != -1 {
		t.Errorf("%d files, learnt %d times", v.Archive.Files, -l.away)
	}
}
