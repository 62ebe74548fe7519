package bench_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/dir"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/worker"
)

// BenchmarkDirectory builds an hour in the directory of standalone and reads the archive, in turns
// with a plain copy: the same files read and written to one file, which is synced and read.
func BenchmarkDirectory(b *testing.B) {
	for _, bb := range []struct {
		name  string
		files int
		size  int64
	}{{"1500x50KB", 1500, 50_000}, {"60x8MB", 60, 8_000_000}} {
		b.Run(bb.name, func(b *testing.B) {
			f := &fixture{TB: b, ctx: b.Context(), day: yesterday()}
			f.catalog = catalogtest.Open(b, "sqlite://"+filepath.Join(b.TempDir(), "catalog.db"))
			addTenant(b, f.catalog, tenant)
			recordings, archives := f.directory("recordings"), f.directory("archives")
			for n := range bb.files {
				_, err := recordings.PutStream(f.ctx, objectKey(n), io.LimitReader(noise(n), bb.size), bb.size, "audio/ogg")
				f.must(err)
			}
			f.register(f.day, 0, bb.files, bb.size)
			_, err := f.catalog.PlanDay(f.ctx, tenant, f.day)
			f.must(err)
			builder := worker.NewBuilder(worker.Config{Name: "bench"}, f.catalog, recordings, archives, time.Now, zap.NewNop())
			var builds, copies []outcome
			for b.Loop() {
				for range rounds {
					started := time.Now()
					f.must(builder.BuildHour(f.ctx, queue.Task{Key: domain.HourKey{Tenant: tenant, Day: f.day}}))
					f.readArchive(archives)
					builds = append(builds, outcome{Wall: time.Since(started)})
					started = time.Now()
					f.copyPlainly(recordings, bb.files)
					copies = append(copies, outcome{Wall: time.Since(started)})
					_, err := f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: f.day, Hour: 0, Force: true})
					f.must(err)
				}
			}
			wall := func(o outcome) time.Duration { return o.Wall }
			b.ReportMetric(median(builds, wall).Seconds(), "wall-s")
			b.ReportMetric(median(builds, wall).Seconds()/median(copies, wall).Seconds(), "x-copy")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// directory opens a bucket in a directory of its own.
func (f *fixture) directory(name string) *dir.Bucket {
	f.Helper()
	b, err := dir.Open(dir.Config{Path: filepath.Join(f.TempDir(), name), Alone: true})
	f.must(err)
	f.Cleanup(func() { f.must(b.Close()) })
	return b
}

// readArchive reads what hour 0 serves.
func (f *fixture) readArchive(archives *dir.Bucket) {
	f.Helper()
	v, err := f.catalog.Day(f.ctx, tenant, f.day)
	f.must(err)
	f.drain(archives, v.Hours[0].Archive.ObjectKey, v.Hours[0].Archive.Size)
}

func (f *fixture) drain(archives *dir.Bucket, key string, size int64) {
	f.Helper()
	o, err := archives.Get(f.ctx, key, objstore.GetOptions{})
	f.must(err)
	defer o.Body.Close()
	n, err := io.Copy(io.Discard, o.Body)
	if f.must(err); n != size {
		f.Fatalf("%d of %d bytes were read", n, size)
	}
}

// copyPlainly copies the recordings into one file, syncs it and reads it.
func (f *fixture) copyPlainly(recordings *dir.Bucket, files int) {
	f.Helper()
	file, err := os.Create(filepath.Join(f.TempDir(), "copy"))
	f.must(err)
	defer file.Close()
	for n := range files {
		o, err := recordings.Get(f.ctx, objectKey(n), objstore.GetOptions{})
		f.must(err)
		_, err = io.Copy(file, o.Body)
		f.must(err)
		f.must(o.Body.Close())
	}
	f.must(file.Sync())
	_, err = file.Seek(0, io.SeekStart)
	f.must(err)
	_, err = io.Copy(io.Discard, file)
	f.must(err)
}
