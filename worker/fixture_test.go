package worker_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

const (
	tenant = "acme-1"
	day    = domain.Day("2031-03-10")
)

// night is a time after the day was planned.
func night() time.Time { return day.End().Add(2 * time.Hour) }

func hour(n int) domain.HourKey { return domain.HourKey{Tenant: tenant, Day: day, Hour: n} }

// fixture is a catalog and a store with one tenant.
type fixture struct {
	*testing.T
	ctx     context.Context
	catalog *catalog.Catalog
	store   *objstore.Store
	log     *zap.Logger
	serial  int64
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return openFixture(t, "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"))
}

func newPostgresFixture(t *testing.T) *fixture {
	t.Helper()
	return openFixture(t, catalogtest.Postgres(t))
}

func openFixture(t *testing.T, url string) *fixture {
	t.Helper()
	f := &fixture{T: t, ctx: t.Context(), log: zaptest.NewLogger(t)}
	// A short lease makes renewals frequent. Tests move the clock to let it lapse.
	f.catalog = catalogtest.OpenWith(t, url, catalog.Rules{Lease: 300 * time.Millisecond})
	s3 := testenv.MinIO(t)
	var err error
	f.store, err = objstore.New(objstore.Config{
		Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: s3.NewBucket(t, "recordings"), Archives: s3.NewBucket(t, "archives"),
	})
	f.must(err)
	t.Cleanup(f.store.Close)
	f.at(night())
	newTenant := domain.NewTenant(tenant, 3)
	newTenant.Recordings = true
	_, err = f.catalog.CreateTenant(f.ctx, newTenant, audit.Origin{})
	f.must(err)
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) at(now time.Time) {
	f.Helper()
	f.must(catalogtest.ShiftClock(f.ctx, f.catalog, time.Until(now)))
}

// audio makes the bytes of a recording. Equal seeds and sizes give equal bytes.
func audio(seed int64, size int) []byte {
	data := make([]byte, size)
	x := uint64(seed)*2862933555777941757 + 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x)
	}
	return data
}

// recording registers a recording without storing its bytes, and gives its key.
func (f *fixture) recording(key domain.HourKey, size *int64) string {
	f.Helper()
	return f.recordingWithSum(key, size, nil)
}

func (f *fixture) recordingWithSum(key domain.HourKey, size *int64, sum *uint32) string {
	f.Helper()
	f.serial++
	object := fmt.Sprintf("calls/%s/%02d/message_%d_agent.opus", key.Day, key.Hour, f.serial)
	_, err := f.catalog.Register(f.ctx, key.Tenant, catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: object, ConversationID: "conversation", SessionID: fmt.Sprintf("session-%d", f.serial%2), MessageID: f.serial, Type: "agent_tts",
		Timestamp: key.Day.Start().Add(time.Duration(key.Hour)*time.Hour + time.Duration(f.serial)*time.Second), Size: size, CRC32: sum,
	}}}})
	f.must(err)
	return object
}

func (f *fixture) put(object string, data []byte) {
	f.Helper()
	_, err := f.store.Recordings().PutStream(f.ctx, object, bytes.NewReader(data), int64(len(data)), "audio/ogg")
	f.must(err)
}

// add registers and stores a recording of size bytes.
func (f *fixture) add(key domain.HourKey, size int) string {
	f.Helper()
	n := int64(size)
	object := f.recording(key, &n)
	f.put(object, audio(f.serial, size))
	return object
}

func (f *fixture) plan() {
	f.Helper()
	_, err := f.catalog.PlanDay(f.ctx, tenant, day)
	f.must(err)
}

const epoch = "epoch"

// dispatched marks an hour's first dispatch as outstanding.
func (f *fixture) dispatched(key domain.HourKey) {
	f.Helper()
	if ok, err := f.catalog.Dispatched(f.ctx, key, 0, epoch); err != nil || !ok {
		f.Fatal(ok, err)
	}
}

// waits says whether an hour is due and has no outstanding dispatch.
func (f *fixture) waits(key domain.HourKey) bool {
	f.Helper()
	due, err := f.catalog.DueHours(f.ctx, epoch, 10, 10)
	f.must(err)
	return slices.ContainsFunc(due, func(d catalog.DueHour) bool { return d.HourKey == key })
}

func (f *fixture) view(n int) catalog.HourView {
	f.Helper()
	v, err := f.catalog.Day(f.ctx, tenant, day)
	f.must(err)
	return v.Hours[n]
}

// config has small parts and short waits.
func config() worker.Config {
	return worker.Config{
		Name: "tester", Slots: 2, Poll: 10 * time.Millisecond, Retry: time.Millisecond, GiveUp: time.Minute,
		Archive: archiver.Config{PartSize: 5 << 20, Tries: 2, Backoff: time.Millisecond},
	}
}

func (f *fixture) builder(cfg worker.Config) *worker.Builder {
	return worker.NewBuilder(cfg, f.catalog, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
}

func (f *fixture) sweeper() *lifecycle.Sweeper {
	return lifecycle.NewSweeper(lifecycle.SweepConfig{}, f.catalog, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
}

func task(n int) queue.Task { return queue.Task{Key: hour(n), Dispatch: 1} }

// served reads the archive that an hour serves.
func (f *fixture) served(n int) *zip.Reader {
	f.Helper()
	v := f.view(n)
	if v.State != catalog.StateAvailable || v.Archive == nil {
		f.Fatalf("hour %d is %s (%s: %s)", n, v.State, v.LastKind, v.LastError)
	}
	o, err := f.store.Archives().Get(f.ctx, v.Archive.ObjectKey, objstore.GetOptions{})
	f.must(err)
	data, err := io.ReadAll(o.Body)
	f.must(errors.Join(err, o.Body.Close()))
	if int64(len(data)) != v.Archive.Size || o.ETag != v.Archive.ETag {
		f.Fatalf("the store has %d bytes, ETag %s; the catalog says %d, %s", len(data), o.ETag, v.Archive.Size, v.Archive.ETag)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	f.must(err)
	for _, file := range z.File {
		r, err := file.Open()
		f.must(err)
		sum := crc32.NewIEEE()
		_, err = io.Copy(sum, r)
		f.must(errors.Join(err, r.Close()))
	}
	return z
}

func (f *fixture) exists(bucket *objstore.Bucket, key string) bool {
	f.Helper()
	_, err := bucket.Stat(f.ctx, key)
	if err != nil && domain.KindOf(err) != domain.KindNotFound {
		f.Fatal(err)
	}
	return err == nil
}

// expectKind fails unless err is of the kind.
func (f *fixture) expectKind(err error, want domain.Kind) {
	f.Helper()
	if domain.KindOf(err) != want {
		f.Fatalf("error %v is of kind %q, want %q", err, domain.KindOf(err), want)
	}
}
