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
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/worker"
)

const (
	tenant = "acme-1"
	day    = domain.Day("2031-03-10")
)

// night is after the day's plan.
func night() time.Time { return day.End().Add(2 * time.Hour) }

func hour(n int) domain.HourKey { return domain.HourKey{Tenant: tenant, Day: day, Hour: n} }

// world is a catalog and a store with one tenant.
type world struct {
	*testing.T
	ctx     context.Context
	catalog *catalog.Catalog
	store   *objstore.Store
	log     *zap.Logger
	serial  int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return openWorld(t, "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"))
}

func newPostgresWorld(t *testing.T) *world {
	t.Helper()
	return openWorld(t, testenv.PostgresFrom(t, "catalog", func(url string) error {
		c, err := catalog.Open(context.Background(), url, catalog.Rules{})
		if err != nil {
			return err
		}
		_, err = c.Migrate(context.Background())
		return errors.Join(err, c.Close())
	}))
}

func openWorld(t *testing.T, url string) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), log: zaptest.NewLogger(t)}
	var err error
	// A short lease makes renewals frequent; the tests move the clock past it.
	w.catalog, err = catalog.Open(w.ctx, url, catalog.Rules{Lease: 300 * time.Millisecond})
	w.must(err)
	t.Cleanup(func() { w.must(w.catalog.Close()) })
	_, err = w.catalog.Migrate(w.ctx)
	w.must(err)
	s3 := testenv.MinIO(t)
	w.store, err = objstore.New(objstore.Config{
		Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: s3.NewBucket(t, "recordings"), Archives: s3.NewBucket(t, "archives"),
	})
	w.must(err)
	t.Cleanup(w.store.Close)
	w.at(night())
	_, err = w.catalog.CreateTenant(w.ctx, domain.Tenant{ID: tenant, Recordings: true, RetentionDays: 3,
		DayLimit: domain.DefaultDayLimit, DownloadLimit: domain.DefaultDownloadLimit})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) at(now time.Time) {
	w.Helper()
	w.must(w.catalog.ShiftClock(w.ctx, time.Until(now)))
}

// audio is the bytes of a recording: the same for the same seed and size.
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

// recording registers a recording and gives its key; the bytes are put by put.
func (w *world) recording(key domain.HourKey, size *int64) string {
	w.Helper()
	return w.recordingWithSum(key, size, nil)
}

func (w *world) recordingWithSum(key domain.HourKey, size *int64, sum *uint32) string {
	w.Helper()
	w.serial++
	object := fmt.Sprintf("calls/%s/%02d/message_%d_agent.opus", key.Day, key.Hour, w.serial)
	_, err := w.catalog.Register(w.ctx, key.Tenant, catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: object, ConversationID: "conversation", SessionID: fmt.Sprintf("session-%d", w.serial%2), MessageID: w.serial, Type: "agent_tts",
		Timestamp: key.Day.Start().Add(time.Duration(key.Hour)*time.Hour + time.Duration(w.serial)*time.Second), Size: size, CRC32: sum,
	}}}})
	w.must(err)
	return object
}

func (w *world) put(object string, data []byte) {
	w.Helper()
	_, err := w.store.Recordings().PutStream(w.ctx, object, bytes.NewReader(data), int64(len(data)), "audio/ogg")
	w.must(err)
}

// add registers and stores a recording of so many bytes.
func (w *world) add(key domain.HourKey, size int) string {
	w.Helper()
	n := int64(size)
	object := w.recording(key, &n)
	w.put(object, audio(w.serial, size))
	return object
}

func (w *world) plan() {
	w.Helper()
	_, err := w.catalog.PlanDay(w.ctx, tenant, day)
	w.must(err)
}

func (w *world) view(n int) catalog.HourView {
	w.Helper()
	v, err := w.catalog.Day(w.ctx, tenant, day)
	w.must(err)
	return v.Hours[n]
}

// config is small and quick.
func config() worker.Config {
	return worker.Config{
		Name: "tester", Slots: 2, Poll: 10 * time.Millisecond, Retry: time.Millisecond, GiveUp: time.Minute,
		Archive: archiver.Config{PartSize: 5 << 20, Tries: 2, Backoff: time.Millisecond},
	}
}

func (w *world) builder(cfg worker.Config) *worker.Builder {
	return worker.NewBuilder(cfg, w.catalog, w.store.Recordings(), w.store.Archives(), time.Now, w.log)
}

func (w *world) sweeper() *worker.Sweeper {
	return worker.NewSweeper(worker.SweepConfig{}, w.catalog, w.catalog, w.store.Recordings(), w.store.Archives(), w.log)
}

func task(n int) queue.Task { return queue.Task{Key: hour(n), Dispatch: 1} }

// served reads the archive that an hour serves.
func (w *world) served(n int) *zip.Reader {
	w.Helper()
	v := w.view(n)
	if v.State != catalog.StateAvailable || v.Archive == nil {
		w.Fatalf("hour %d is %s (%s: %s)", n, v.State, v.LastKind, v.LastError)
	}
	o, err := w.store.Archives().Get(w.ctx, v.Archive.ObjectKey, objstore.GetOptions{})
	w.must(err)
	data, err := io.ReadAll(o.Body)
	w.must(errors.Join(err, o.Body.Close()))
	if int64(len(data)) != v.Archive.Size || o.ETag != v.Archive.ETag {
		w.Fatalf("the store has %d bytes, ETag %s; the catalog says %d, %s", len(data), o.ETag, v.Archive.Size, v.Archive.ETag)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	w.must(err)
	for _, f := range z.File {
		r, err := f.Open()
		w.must(err)
		sum := crc32.NewIEEE()
		_, err = io.Copy(sum, r)
		w.must(errors.Join(err, r.Close()))
	}
	return z
}

func (w *world) exists(bucket *objstore.Bucket, key string) bool {
	w.Helper()
	_, err := bucket.Stat(w.ctx, key)
	if err != nil && domain.KindOf(err) != domain.KindNotFound {
		w.Fatal(err)
	}
	return err == nil
}

// expectKind fails unless err is of the kind.
func (w *world) expectKind(err error, want domain.Kind) {
	w.Helper()
	if domain.KindOf(err) != want {
		w.Fatalf("error %v is of kind %q, want %q", err, domain.KindOf(err), want)
	}
}
