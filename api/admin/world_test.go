package admin_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const adminToken = "an-admin-token-of-some-length"

// world is a console over a real catalog and a real Redis.
type world struct {
	testing.TB
	catalog  *catalog.Catalog
	queue    *queue.Queue
	handler  http.Handler
	archives apitest.Archives
	day      domain.Day // yesterday
	now      func() time.Time
	change   func(*admin.Config)
}

func newWorld(t testing.TB, database string, change func(*admin.Config)) *world {
	t.Helper()
	w := &world{TB: t, catalog: apitest.Open(t, database), now: time.Now, change: change}
	q, err := queue.Connect(testenv.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil && !errors.Is(err, redis.ErrClosed) { // a test may take Redis away
			t.Error(err)
		}
	})
	w.queue = q
	at, err := w.catalog.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.day = domain.DayOf(at).Add(-1)
	w.tenant("acme", "Acme Telephone Ltd")
	w.open(func() time.Time { return w.now() })
	return w
}

// open makes the handler afresh.
func (w *world) open(now func() time.Time) {
	w.Helper()
	cfg := admin.Config{Token: adminToken}
	if w.change != nil {
		w.change(&cfg)
	}
	log := zaptest.NewLogger(w, zaptest.Level(zap.ErrorLevel))
	schedule, err := cron.ParseStandard("0 2 * * *")
	if err != nil {
		w.Fatal(err)
	}
	families, err := admin.New(cfg, admin.Deps{Catalog: w.catalog, Planner: plan.New(plan.Config{Schedule: schedule}, w.catalog, w.queue, time.Now, log),
		Queue: w.queue, Redis: w.queue.Redis(), Log: log, Now: now})
	if err != nil {
		w.Fatal(err)
	}
	w.handler = api.New(api.Config{}, api.Deps{Families: families, Log: log, Now: time.Now})
}

// onBoth runs a test over either database.
func onBoth(t *testing.T, change func(*admin.Config), test func(w *world)) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) { test(newWorld(t, database(t), change)) })
	}
}

func (w *world) tenant(id, name string) {
	w.Helper()
	_, err := w.catalog.CreateTenant(w.Context(), domain.Tenant{ID: id, Name: name, Recordings: true, RetentionDays: 40, DayLimit: 5, DownloadLimit: 5})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) key(tenant string, day domain.Day, hour int) domain.HourKey {
	return domain.HourKey{Tenant: tenant, Day: day, Hour: hour}
}

// build gives an hour an archive of size bytes.
func (w *world) build(key domain.HourKey, size int) {
	w.Helper()
	apitest.Build(w, w.catalog, &w.archives, key, bytes.Repeat([]byte{'z'}, size))
}

// claim registers a recording of the hour and lets a worker begin with it.
func (w *world) claim(key domain.HourKey) catalog.Claim {
	w.Helper()
	apitest.Register(w, w.catalog, key)
	if _, err := w.catalog.Rebuild(w.Context(), key.Tenant, key.Day, key.Hour, false); err != nil {
		w.Fatal(err)
	}
	claim, ok, err := w.catalog.Claim(w.Context(), key, "worker-1/4711")
	if err != nil || !ok {
		w.Fatalf("claim %s: %v, %v", key, ok, err)
	}
	if err := w.catalog.StartArchive(w.Context(), claim); err != nil {
		w.Fatal(err)
	}
	return claim
}

// fail uses an hour's attempts up.
func (w *world) fail(key domain.HourKey, message string) {
	w.Helper()
	err := w.catalog.Fail(w.Context(), w.claim(key), catalog.Failure{Kind: domain.KindStoreFault, Message: message, Final: true})
	if err != nil {
		w.Fatal(err)
	}
}

// lack gives an hour an archive that declares so many recordings missing.
func (w *world) lack(key domain.HourKey, missing int) {
	w.Helper()
	claim := w.claim(key)
	in, err := w.catalog.BuildInput(w.Context(), claim)
	if err != nil {
		w.Fatal(err)
	}
	if err := w.catalog.Commit(w.Context(), claim, catalog.BuildResult{Wanted: in.Wanted, Size: 2000, Files: len(in.Recordings),
		Missing: make([]catalog.MissingFile, missing)}); err != nil {
		w.Fatal(err)
	}
}

// plan plans a day.
func (w *world) plan(tenant string, day domain.Day) {
	w.Helper()
	if _, err := w.catalog.PlanDay(w.Context(), tenant, day); err != nil {
		w.Fatal(err)
	}
}

// ask sends a request with headers given as name, value, …
func (w *world) ask(method, path, body string, headers ...string) apitest.Answer {
	w.Helper()
	return apitest.Do(w.handler, request(method, path, body, headers...))
}

func request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
	if body != "" && body[0] != '{' {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// events gives the actions in a tenant's audit log, newest first.
func (w *world) events(tenant string) (actions []string) {
	w.Helper()
	list, err := w.catalog.LatestAudit(w.Context(), tenant, "", -1, 100)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range list {
		actions = append(actions, e.Actor+" "+e.Action)
	}
	return actions
}
