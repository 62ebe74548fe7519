package admin_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const adminToken = "an-admin-token-of-some-length"

// fixture is a console over a real catalog and a real Redis.
type fixture struct {
	eraser admin.Eraser // nil in most tests
	testing.TB
	catalog  *catalog.Catalog
	queue    *queue.Queue
	handler  http.Handler
	archives apitest.Store
	day      domain.Day // yesterday
	now      func() time.Time
	change   func(*admin.Config)
	proxies  []netip.Prefix // that are trusted
	database string
}

func newFixture(t testing.TB, database string, change func(*admin.Config)) *fixture {
	t.Helper()
	f := &fixture{TB: t, catalog: catalogtest.Open(t, database), now: time.Now, change: change, database: database}
	q, err := queue.Connect(testenv.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil && !errors.Is(err, redis.ErrClosed) { // a test may have stopped Redis
			t.Error(err)
		}
	})
	f.queue = q
	at, err := f.catalog.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.day = domain.DayOf(at).Add(-1)
	f.tenant("acme", "Acme Telephone Ltd")
	f.open(func() time.Time { return f.now() })
	return f
}

// open makes a new handler.
func (f *fixture) open(now func() time.Time) {
	f.Helper()
	cfg := admin.Config{Token: adminToken}
	if f.change != nil {
		f.change(&cfg)
	}
	log := f.log()
	schedule, err := cron.ParseStandard("0 2 * * *")
	if err != nil {
		f.Fatal(err)
	}
	families, err := admin.New(cfg, admin.Deps{Catalog: f.catalog, Planner: plan.New(plan.Config{Schedule: schedule}, f.catalog, f.queue, time.Now, log),
		Queue: f.queue, Eraser: f.eraser, Redis: f.queue.Redis(), Archives: &f.archives, Log: log, Now: now})
	if err != nil {
		f.Fatal(err)
	}
	f.handler = api.New(api.Config{BasePath: cfg.BasePath, TrustedProxies: f.proxies}, api.Deps{Families: families, Log: log, Now: time.Now})
}

func (f *fixture) log() *zap.Logger { return zaptest.NewLogger(f, zaptest.Level(zap.ErrorLevel)) }

// onBoth runs a test over either database.
func onBoth(t *testing.T, change func(*admin.Config), test func(f *fixture)) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) { test(newFixture(t, database(t), change)) })
	}
}

func (f *fixture) tenant(id, name string) {
	f.Helper()
	_, err := f.catalog.CreateTenant(f.Context(), domain.Tenant{ID: id, Name: name, Recordings: true, RetentionDays: 40, DayLimit: 5, DownloadLimit: 5}, audit.Origin{Actor: apitest.FixtureActor})
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) key(tenant string, day domain.Day, hour int) domain.HourKey {
	return domain.HourKey{Tenant: tenant, Day: day, Hour: hour}
}

// build gives an hour an archive of size bytes.
func (f *fixture) build(key domain.HourKey, size int) {
	f.Helper()
	apitest.BuildHour(f, f.catalog, &f.archives, key, bytes.Repeat([]byte{'z'}, size))
}

// claim registers a recording of the hour and claims the hour as a worker.
func (f *fixture) claim(key domain.HourKey) catalog.Claim {
	f.Helper()
	apitest.Register(f, f.catalog, key)
	if _, err := f.catalog.Rebuild(f.Context(), catalog.RebuildRequest{Tenant: key.Tenant, Day: key.Day, Hour: key.Hour, Origin: audit.Origin{Actor: apitest.FixtureActor}}); err != nil {
		f.Fatal(err)
	}
	claim, ok, err := f.catalog.Claim(f.Context(), key, "worker-1/4711")
	if err != nil || !ok {
		f.Fatalf("claim %s: %v, %v", key, ok, err)
	}
	if err := f.catalog.StartArchive(f.Context(), claim); err != nil {
		f.Fatal(err)
	}
	return claim
}

// fail fails an hour until its attempts are used up.
func (f *fixture) fail(key domain.HourKey, message string) {
	f.Helper()
	err := f.catalog.Fail(f.Context(), f.claim(key), catalog.Failure{Kind: domain.KindStoreFault, Message: message, Final: true})
	if err != nil {
		f.Fatal(err)
	}
}

// buildMissing gives an hour an archive that lists a number of recordings as missing.
func (f *fixture) buildMissing(key domain.HourKey, missing int) {
	f.Helper()
	claim := f.claim(key)
	in, err := f.catalog.BuildInput(f.Context(), claim)
	if err != nil {
		f.Fatal(err)
	}
	if err := f.catalog.Commit(f.Context(), claim, catalog.BuildResult{Wanted: in.Wanted, Size: 2000, Files: len(in.Recordings),
		Missing: make([]catalog.MissingFile, missing)}); err != nil {
		f.Fatal(err)
	}
}

// plan plans a day.
func (f *fixture) plan(tenant string, day domain.Day) {
	f.Helper()
	if _, err := f.catalog.PlanDay(f.Context(), tenant, day); err != nil {
		f.Fatal(err)
	}
}

// ask sends a request with headers given as name, value, …
func (f *fixture) ask(method, path, body string, headers ...string) apitest.Answer {
	f.Helper()
	return apitest.Do(f.handler, request(method, path, body, headers...))
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

// events gives the actions in a tenant's audit log, newest first, without the fixture's.
func (f *fixture) events(tenant string) (actions []string) {
	f.Helper()
	list, err := f.catalog.LatestAudit(f.Context(), tenant, "", -1, 100)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range list {
		if e.Actor != apitest.FixtureActor {
			actions = append(actions, e.Actor+" "+e.Action)
		}
	}
	return actions
}
