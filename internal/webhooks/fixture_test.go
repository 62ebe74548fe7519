package webhooks_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/internal/webhooks"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// onBoth runs a test on each database.
func onBoth(t *testing.T, test func(f *fixture)) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "catalog.db") },
		"postgres": func(t *testing.T) string { return testenv.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) { test(newFixture(t, url(t))) })
	}
}

// fixture is a catalog with tenants and their endpoints.
type fixture struct {
	testing.TB
	url       string
	catalog   *catalog.Catalog
	vault     *auth.Vault
	endpoints *webhooks.Endpoints
	day       domain.Day
	shifted   time.Duration
}

// testLease is the lease of a deliverer's claims.
const testLease = 2 * time.Hour

const masterKey = "a master key of a good length, for tests"

func newFixture(t testing.TB, url string) *fixture {
	t.Helper()
	f := &fixture{TB: t, url: url}
	var err error
	f.catalog, err = catalog.Open(t.Context(), url, catalog.Rules{})
	f.must(err)
	t.Cleanup(func() { f.must(f.catalog.Close()) })
	_, err = f.catalog.DB().Migrate(t.Context())
	f.must(err)
	f.vault, err = auth.NewVault(masterKey)
	f.must(err)
	f.endpoints = webhooks.NewEndpoints(f.catalog, f.vault, webhooks.Rules{Private: true})
	at, err := f.catalog.Now(t.Context())
	f.must(err)
	f.day = domain.DayOf(at).Add(-1)
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// tenant adds a tenant with an endpoint, and returns the endpoint and its secret.
func (f *fixture) tenant(id, url string) (outbox.Endpoint, string) {
	f.Helper()
	_, err := f.catalog.CreateTenant(f.Context(), domain.Tenant{ID: id, Recordings: true, RetentionDays: 1000, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
	f.must(err)
	e, secret, err := f.endpoints.Create(f.Context(), id, url, domain.EventTypes(), audit.Origin{Actor: "test"})
	f.must(err)
	return e, secret
}

// events completes n empty days of a tenant: each makes an event.
func (f *fixture) events(tenant string, n int) {
	f.Helper()
	for i := range n {
		_, err := f.catalog.PlanDay(f.Context(), tenant, f.day.Add(-i))
		f.must(err)
	}
}

// advance moves the catalog's clock forward.
func (f *fixture) advance(d time.Duration) {
	f.Helper()
	f.shifted += d
	f.must(catalogtest.ShiftClock(f.Context(), f.catalog, f.shifted))
}

// deliverer runs a deliverer until stop or the test's end.
func (f *fixture) deliverer(store webhooks.Store, change func(*webhooks.Config, *webhooks.SenderConfig)) (stop func()) {
	f.Helper()
	// Long times, so that on a slow machine no claim lapses and no try times out.
	cfg, sender := webhooks.Config{Interval: 10 * time.Millisecond, DrainTimeout: 100 * time.Millisecond, ClaimTimeout: time.Hour, Lease: testLease},
		webhooks.SenderConfig{Rules: webhooks.Rules{Private: true}, Timeout: time.Hour}
	if change != nil {
		change(&cfg, &sender)
	}
	d := webhooks.NewDeliverer(cfg, store, webhooks.NewSender(sender, f.vault, time.Now), zaptest.NewLogger(f, zaptest.Level(zap.FatalLevel)))
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			f.Error(err)
		}
	})
	f.Cleanup(stop)
	return stop
}

// log returns a tenant's deliveries, the latest first.
func (f *fixture) log(tenant string) []outbox.Delivery {
	f.Helper()
	list, err := f.catalog.Deliveries(f.Context(), outbox.DeliveryQuery{Tenant: tenant, Limit: 1000})
	f.must(err)
	return list
}

// until waits for something to become true.
func (f *fixture) until(what string, done func() bool) {
	f.Helper()
	testenv.Until(f.TB, what, done)
}

func (f *fixture) untilState(tenant, state string, n int) {
	f.Helper()
	f.until(tenant+" "+state, func() bool {
		is := 0
		for _, d := range f.log(tenant) {
			if d.State == state {
				is++
			}
		}
		return is == n
	})
}

// receiver is a tenant's server.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []received
	then http.HandlerFunc // how it answers; 204 when nil
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t testing.TB, then http.HandlerFunc) *receiver {
	r := &receiver{then: then}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.got = append(r.got, received{q.Header.Clone(), body})
	then := r.then
	r.mu.Unlock()
	if then == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	then(w, q)
}

// answer changes how it answers.
func (r *receiver) answer(then http.HandlerFunc) {
	r.mu.Lock()
	r.then = then
	r.mu.Unlock()
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// ids counts the received requests by webhook-id.
func (r *receiver) ids() map[string]int {
	out := map[string]int{}
	for _, g := range r.all() {
		out[g.header.Get("webhook-id")]++
	}
	return out
}

// verified checks a delivery's signature as its receiver would.
func verified(secret string, g received) error {
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return hook.VerifyIgnoringTimestamp(g.body, g.header)
}

func secretShape(secret string) bool {
	return strings.HasPrefix(secret, "whsec_") && len(secret) == 6+44
}
