package plan_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
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

// fixture is a catalog and a queue in memory.
type fixture struct {
	*testing.T
	catalog *catalog.Catalog
	queue   *fakeQueue
	url     string
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
	f := &fixture{T: t, url: url, catalog: catalogtest.Open(t, url), queue: &fakeQueue{epoch: "one", slots: 2, tasks: map[string]bool{}}}
	f.at(night())
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// at sets the catalog's clock, which runs on from there, as if somebody had watched it all the
// time.
func (f *fixture) at(now time.Time) {
	f.Helper()
	f.must(catalogtest.ShiftClock(context.WithoutCancel(f.Context()), f.catalog, time.Until(now)))
}

func (f *fixture) tenant(id string, retention int) {
	f.Helper()
	t := domain.NewTenant(id, retention)
	t.Name, t.Recordings = id, true
	_, err := f.catalog.CreateTenant(f.Context(), t, audit.Origin{})
	f.must(err)
}

// add registers one recording in each of the hours.
func (f *fixture) add(tenant string, day domain.Day, hours ...int) {
	f.Helper()
	var b catalog.Batch
	for i, hour := range hours {
		size := int64(10)
		b.Recordings = append(b.Recordings, catalog.Line[domain.Recording]{Number: i + 1, Value: domain.Recording{
			ObjectKey: fmt.Sprintf("%s/%s/%02d.opus", tenant, day, hour), ConversationID: "c", SessionID: "s", MessageID: int64(i + 1),
			Type: "agent_tts", Timestamp: day.Start().Add(time.Duration(hour)*time.Hour + time.Minute), Size: &size,
		}})
	}
	_, err := f.catalog.Register(f.Context(), tenant, b)
	f.must(err)
}

func (f *fixture) planner(cfg plan.Config) *plan.Planner {
	f.Helper()
	if cfg.Schedule == nil {
		cfg.Schedule = schedule(f, "0 2 * * *")
	}
	return plan.New(cfg, f.catalog, f.queue, time.Now, zaptest.NewLogger(f.T))
}

func schedule(t testing.TB, line string) cron.Schedule {
	t.Helper()
	s, err := cron.ParseStandard("CRON_TZ=UTC " + line)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fixture) fullPass(p *plan.Planner) plan.Report {
	f.Helper()
	r, err := p.FullPass(f.Context())
	f.must(err)
	return r
}

func (f *fixture) view(tenant string, day domain.Day) catalog.DayView {
	f.Helper()
	v, err := f.catalog.Day(f.Context(), tenant, day)
	f.must(err)
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

// lose forgets all tasks, as a Redis of this epoch would.
func (q *fakeQueue) lose(epoch string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.epoch, q.tasks = epoch, map[string]bool{}
}
