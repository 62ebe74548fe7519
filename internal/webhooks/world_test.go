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
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/internal/webhooks"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// onBoth runs a test over either database.
func onBoth(t *testing.T, test func(w *world)) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "catalog.db") },
		"postgres": func(t *testing.T) string { return testenv.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) { test(newWorld(t, url(t))) })
	}
}

// world is a catalog with tenants, of which something is told.
type world struct {
	testing.TB
	url       string
	catalog   *catalog.Catalog
	vault     *auth.Vault
	endpoints *webhooks.Endpoints
	day       domain.Day
	shifted   time.Duration
}

// testLease is how long a claim of a deliverer stands.
const testLease = 2 * time.Hour

const masterKey = "a master key of a good length, for tests"

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	w := &world{TB: t, url: url}
	var err error
	w.catalog, err = catalog.Open(t.Context(), url, catalog.Rules{})
	w.must(err)
	t.Cleanup(func() { w.must(w.catalog.Close()) })
	_, err = w.catalog.Migrate(t.Context())
	w.must(err)
	w.vault, err = auth.NewVault(masterKey)
	w.must(err)
	w.endpoints = webhooks.NewEndpoints(w.catalog, w.vault, webhooks.Rules{Private: true})
	at, err := w.catalog.Now(t.Context())
	w.must(err)
	w.day = domain.DayOf(at).Add(-1)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// tenant adds a tenant with an endpoint and gives the endpoint and its secret.
func (w *world) tenant(id, url string) (catalog.Endpoint, string) {
	w.Helper()
	_, err := w.catalog.CreateTenant(w.Context(), domain.Tenant{ID: id, Recordings: true, RetentionDays: 1000, DayLimit: 5, DownloadLimit: 5})
	w.must(err)
	e, secret, err := w.endpoints.Create(w.Context(), id, url, domain.EventTypes(), catalog.Origin{Actor: "test"})
	w.must(err)
	return e, secret
}

// events lets n quiet days of a tenant be complete.
func (w *world) events(tenant string, n int) {
	w.Helper()
	for i := range n {
		_, err := w.catalog.PlanDay(w.Context(), tenant, w.day.Add(-i))
		w.must(err)
	}
}

// pass moves the catalog's clock forward.
func (w *world) pass(d time.Duration) {
	w.Helper()
	w.shifted += d
	w.must(w.catalog.ShiftClock(w.Context(), w.shifted))
}

// deliverer runs a deliverer until stop or the test's end.
func (w *world) deliverer(store webhooks.Store, change func(*webhooks.Config, *webhooks.SenderConfig)) (stop func()) {
	w.Helper()
	// However slow this machine is, no claim lapses and no try ends by time alone, unless a test wants it.
	cfg, sender := webhooks.Config{Interval: 10 * time.Millisecond, Linger: 100 * time.Millisecond, Look: time.Hour, Lease: testLease},
		webhooks.SenderConfig{Rules: webhooks.Rules{Private: true}, Timeout: time.Hour}
	if change != nil {
		change(&cfg, &sender)
	}
	d := webhooks.NewDeliverer(cfg, store, webhooks.NewSender(sender, w.vault, time.Now), zaptest.NewLogger(w, zaptest.Level(zap.FatalLevel)))
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(stop)
	return stop
}

// log gives a tenant's deliveries, latest first.
func (w *world) log(tenant string) []catalog.Delivery {
	w.Helper()
	list, err := w.catalog.Deliveries(w.Context(), catalog.DeliveryQuery{Tenant: tenant, Limit: 1000})
	w.must(err)
	return list
}

// until waits for something to become true.
func (w *world) until(what string, done func() bool) {
	w.Helper()
	testenv.Until(w.TB, what, done)
}

func (w *world) untilState(tenant, state string, n int) {
	w.Helper()
	w.until(tenant+" "+state, func() bool {
		is := 0
		for _, d := range w.log(tenant) {
			if d.State == state {
				is++
			}
		}
		return is == n
	})
}

// receiver is a tenant's side.
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

// ids counts what arrived by its webhook-id.
func (r *receiver) ids() map[string]int {
	out := map[string]int{}
	for _, g := range r.all() {
		out[g.header.Get("webhook-id")]++
	}
	return out
}

// verified says whether a secret's owner believes a delivery.
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
