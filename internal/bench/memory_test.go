//go:build !race

// The race detector takes several times the memory that is measured here.

package bench_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

// allowance is what building may take beyond an idle worker, in bytes.
const allowance = 96 << 20

// TestWorkerMemory: a worker process with default settings builds an hour of two recordings of 1 GB
// and one of 70,000 small ones within its memory. A proxy makes up the recordings, which is faster
// than any store. The archives go to a real store.
func TestWorkerMemory(t *testing.T) {
	const many, small, large = 70_000, 1000, 1 << 30
	f := newFixture(t)
	binary := testenv.Program(f)
	f.migrate(binary) // before the endpoint is one that makes recordings up
	f.s3.Endpoint = madeUp(t, f.s3.Endpoint, f.recordings, func(key string) int64 {
		if key == objectKey(many) || key == objectKey(many+1) {
			return large
		}
		return small
	})
	f.register(f.day, 0, many, small)
	f.register(f.day.Add(-1), many, many+2, large)
	for _, c := range []struct {
		name string
		day  domain.Day // whose hour 0 is built
	}{{"TwoLarge", f.day.Add(-1)}, {"ManySmall", f.day}} {
		t.Run(c.name, func(t *testing.T) {
			r := f.with(t).startWorker(binary)
			idle, err := memoryOf(strconv.Itoa(r.pid))
			f.must(err)
			f.must(forgetPeak(strconv.Itoa(r.pid)))
			started := time.Now()
			r.build(c.day)
			took := time.Since(started)
			built, err := memoryOf(strconv.Itoa(r.pid))
			f.must(err)
			more := built.peak - idle.now
			t.Logf("idle %s, peak %s: %s more, in %.1f s", mebi(idle.now), mebi(built.peak), mebi(more), took.Seconds())
			if more > allowance {
				t.Errorf("building takes %s beyond the idle process, at most %s are allowed", mebi(more), mebi(allowance))
			}
		})
	}
}

// running is a worker process and the queue that it takes tasks from.
type running struct {
	*fixture
	queue *queue.Queue
	pid   int
	ended <-chan struct{}
}

// env is the environment of a program on the fixture's catalog and object store.
func (f *fixture) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.TempDir(), "CALLVAULT_DATA=" + f.TempDir(), "CALLVAULT_DATABASE_URL=" + f.database,
		"CALLVAULT_S3_ENDPOINT=" + f.s3.Endpoint, "CALLVAULT_S3_REGION=" + f.s3.Region,
		"CALLVAULT_S3_ACCESS_KEY=" + f.s3.AccessKey, "CALLVAULT_S3_SECRET_KEY=" + f.s3.SecretKey,
		"CALLVAULT_RECORDINGS_BUCKET=" + f.recordings, "CALLVAULT_ARCHIVES_BUCKET=" + f.archives}
}

// migrate makes the archives bucket this installation's.
func (f *fixture) migrate(binary string) {
	f.Helper()
	cmd := exec.CommandContext(f.ctx, binary, "migrate", "up")
	cmd.Env = f.env()
	if output, err := cmd.CombinedOutput(); err != nil {
		f.Fatalf("callvault migrate up: %v\n%s", err, output)
	}
}

// startWorker starts a worker with default settings and waits until it takes
// tasks.
func (f *fixture) startWorker(binary string) *running {
	f.Helper()
	redis := testenv.Redis(f)
	q, err := queue.Connect(redis)
	f.must(err)
	f.Cleanup(func() { f.must(q.Close()) })
	r := &running{fixture: f, queue: q}
	r.pid, r.ended = f.start(binary, "worker", append(f.env(), "CALLVAULT_LISTEN=127.0.0.1:0", "CALLVAULT_REDIS_URL="+redis))
	r.until(func() (bool, error) {
		slots, err := q.Slots(f.ctx)
		return slots > 0, err
	})
	return r
}

// build plans a day, hands its hours to the queue and waits until the worker
// has archived hour 0.
func (r *running) build(day domain.Day) {
	r.Helper()
	_, err := r.catalog.PlanDay(r.ctx, tenant, day)
	r.must(err)
	p := plan.New(plan.Config{}, r.catalog, r.queue, time.Now, zap.NewNop())
	_, err = p.DispatchPass(r.ctx)
	r.must(err)
	r.until(func() (bool, error) {
		v, err := r.catalog.Day(r.ctx, tenant, day)
		if err != nil {
			return false, err
		}
		if h := v.Hours[0]; h.LastError != "" {
			return false, errors.New(h.LastError)
		}
		return v.Hours[0].State == catalog.StateAvailable, nil
	})
}

// until calls done until it returns true, the worker ends or the test does.
func (r *running) until(done func() (bool, error)) {
	r.Helper()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		ok, err := done()
		r.must(err)
		if ok {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-r.ended:
			r.Fatal("the worker ended")
		case <-r.ctx.Done():
			r.Fatal(fmt.Errorf("waiting for the worker: %w", r.ctx.Err()))
		}
	}
}
