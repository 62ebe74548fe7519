package bench_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

// job is what a measured process does: it builds an hour, or only reads and writes the same bytes.
type job struct {
	S3         testenv.S3
	Recordings string // buckets
	Archives   string
	Database   string
	Tenant     string
	Day        domain.Day
	Files      int // the objects that moving reads
	Size       int64
	Upload     int64 // bytes that moving writes; 0 builds
}

// outcome is the measurement of a job. Memory is in bytes.
type outcome struct {
	Failure string
	Wall    time.Duration
	CPU     time.Duration
	Idle    int64 // resident before it began
	Peak    int64 // most that was resident
}

func (j job) store() objstore.Config {
	return objstore.Config{
		Endpoint: j.S3.Endpoint, Region: j.S3.Region, AccessKey: j.S3.AccessKey, SecretKey: j.S3.SecretKey,
		Recordings: j.Recordings, Archives: j.Archives,
	}
}

func (j job) measure() (outcome, error) {
	store, err := objstore.New(j.store())
	if err != nil {
		return outcome{}, err
	}
	defer store.Close()
	c, err := catalog.Open(context.Background(), j.Database, catalog.Rules{})
	if err != nil {
		return outcome{}, err
	}
	out, err := j.during(c, store)
	return out, errors.Join(err, c.Close())
}

// during does the job and measures it.
func (j job) during(c *catalog.Catalog, store *objstore.Store) (outcome, error) {
	before, err := memoryOf("self")
	if err != nil {
		return outcome{}, err
	}
	cpu, started := cpuTime(), time.Now()
	if j.Upload > 0 {
		err = j.move(store)
	} else {
		err = j.build(c, store)
	}
	out := outcome{Wall: time.Since(started), CPU: cpuTime() - cpu, Idle: before.now}
	after, statusErr := memoryOf("self")
	out.Peak = after.peak
	return out, errors.Join(err, statusErr)
}

// build builds hour 0 with a worker's default settings.
func (j job) build(c *catalog.Catalog, store *objstore.Store) error {
	var ended worker.Outcome
	cfg := worker.Config{Name: "bench", OnBuild: func(e worker.Outcome) { ended = e }}
	b := worker.NewBuilder(cfg, c, store.Recordings(), store.Archives(), time.Now, zap.NewNop())
	if err := b.BuildHour(context.Background(), queue.Task{Key: domain.HourKey{Tenant: j.Tenant, Day: j.Day}}); err != nil {
		return err
	}
	if ended.Files != j.Files || ended.Missing != 0 {
		return fmt.Errorf("%d files archived, %d missing", ended.Files, ended.Missing)
	}
	return nil
}

// move reads every object, with as many parallel reads as a build, then writes as many bytes as the
// archive has, with as many parallel parts as a build.
func (j job) move(store *objstore.Store) error {
	reads, ctx := errgroup.WithContext(context.Background())
	reads.SetLimit(archiver.DefaultGets)
	for n := range j.Files {
		reads.Go(func() error { return j.read(ctx, store, n) })
	}
	if err := reads.Wait(); err != nil {
		return err
	}
	return j.write(store)
}

func (j job) read(ctx context.Context, store *objstore.Store, n int) error {
	o, err := store.Recordings().Get(ctx, objectKey(n), objstore.GetOptions{})
	if err != nil {
		return err
	}
	defer o.Body.Close()
	var read int64
	for buffer := make([]byte, min(j.Size, 256<<10)); ; {
		n, err := o.Body.Read(buffer)
		read += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if read != j.Size {
		return fmt.Errorf("object %d has %d bytes", n, read)
	}
	return nil
}

func (j job) write(store *objstore.Store) error {
	ctx := context.Background()
	key := fmt.Sprintf("limit/%d", time.Now().UnixNano())
	id, err := store.Archives().NewUpload(ctx, key, objstore.UploadOptions{ContentType: "application/zip", PartSize: archiver.DefaultPartSize})
	if err != nil {
		return err
	}
	data := make([]byte, archiver.DefaultPartSize)
	parts := make([]objstore.Part, (j.Upload+archiver.DefaultPartSize-1)/archiver.DefaultPartSize)
	writes, ctx := errgroup.WithContext(ctx)
	writes.SetLimit(archiver.DefaultBuffers)
	for i := range parts {
		part := data[:min(j.Upload-int64(i)*archiver.DefaultPartSize, archiver.DefaultPartSize)]
		writes.Go(func() (err error) {
			parts[i], err = store.Archives().PutPart(ctx, key, id, i+1, part, crc32.ChecksumIEEE(part))
			return err
		})
	}
	if err := writes.Wait(); err != nil {
		return err
	}
	_, err = store.Archives().Complete(context.Background(), key, id, parts, objstore.CompleteOptions{})
	return err
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
