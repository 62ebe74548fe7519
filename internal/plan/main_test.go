package plan_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// day is the first day that the tests' tenants have recordings for.
const day = domain.Day("2031-03-10")

// night is after the schedule's first firing after day.
func night() time.Time { return day.End().Add(2*time.Hour + time.Minute) }

// world is a catalog and a queue that a test looks into.
type world struct {
	*testing.T
	catalog *catalog.Catalog
	queue   *fakeQueue
	url     string
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
	w := &world{T: t, url: url, queue: &fakeQueue{epoch: "one", slots: 2, tasks: map[string]bool{}}}
	var err error
	w.catalog, err = catalog.Open(t.Context(), url, catalog.Rules{})
	w.must(err)
	t.Cleanup(func() { w.must(w.catalog.Close()) })
	_, err = w.catalog.Migrate(t.Context())
	w.must(err)
	w.at(night())
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// at sets the catalog's clock, which goes on from there.
func (w *world) at(now time.Time) {
	w.Helper()
	w.must(w.catalog.ShiftClock(context.WithoutCancel(w.Context()), time.Until(now)))
}

func (w *world) tenant(id string, retention int) {
	w.Helper()
	_, err := w.catalog.CreateTenant(w.Context(), domain.Tenant{ID: id, Name: id, Recordings: true, RetentionDays: retention,
		DayLimit: domain.DefaultDayLimit, DownloadLimit: domain.DefaultDownloadLimit})
	w.must(err)
}

// add registers one recording in each of the hours.
func (w *world) add(tenant string, day domain.Day, hours ...int) {
	w.Helper()
	var b catalog.Batch
	for i, hour := range hours {
		size := int64(10)
		b.Recordings = append(b.Recordings, catalog.Line[domain.Recording]{Number: i + 1, Value: domain.Recording{
			ObjectKey: fmt.Sprintf("%s/%s/%02d.opus", tenant, day, hour), ConversationID: "c", SessionID: "s", MessageID: int64(i + 1),
			Type: "agent_tts", Timestamp: day.Start().Add(time.Duration(hour)*time.Hour + time.Minute), Size: &size,
		}})
	}
	_, err := w.catalog.Register(w.Context(), tenant, b)
	w.must(err)
}

func (w *world) planner(cfg plan.Config) *plan.Planner {
	w.Helper()
	if cfg.Schedule == nil {
		cfg.Schedule = schedule(w, "0 2 * * *")
	}
	return plan.New(cfg, w.catalog, w.queue, time.Now, zaptest.NewLogger(w.T))
}

func schedule(t testing.TB, line string) cron.Schedule {
	t.Helper()
	s, err := cron.ParseStandard("CRON_TZ=UTC " + line)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) heal(p *plan.Planner) plan.Report {
	w.Helper()
	r, err := p.Heal(w.Context())
	w.must(err)
	return r
}

func (w *world) view(tenant string, day domain.Day) catalog.DayView {
	w.Helper()
	v, err := w.catalog.Day(w.Context(), tenant, day)
	w.must(err)
	return v
}

// fakeQueue is a queue in memory that fails on order.
type fakeQueue struct {
	mu    sync.Mutex
	epoch string
	slots int
	fail  error
	tasks map[string]bool // by id; false: completed
	order []queue.Task
}

func (q *fakeQueue) Epoch(context.Context) (string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.epoch, nil
}

func (q *fakeQueue) Slots(context.Context) (int, error) { return q.slots, nil }

func (q *fakeQueue) Enqueue(_ context.Context, key domain.HourKey, dispatch int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fail != nil {
		return q.fail
	}
	t := queue.Task{Key: key, Dispatch: dispatch}
	if _, taken := q.tasks[t.ID()]; taken {
		return fmt.Errorf("task %s was enqueued twice", t.ID())
	}
	q.tasks[t.ID()] = true
	q.order = append(q.order, t)
	return nil
}

func (q *fakeQueue) State(_ context.Context, key domain.HourKey, dispatch int64) (queue.State, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tasks[queue.Task{Key: key, Dispatch: dispatch}.ID()] {
		return queue.Live, nil
	}
	return queue.Gone, nil
}

// lose forgets all tasks.
func (q *fakeQueue) lose(epoch string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.epoch, q.tasks = epoch, map[string]bool{}
}
