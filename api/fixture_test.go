package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/bulk"
	conversationsapi "github.com/callvault/callvault/api/conversations"
	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/ingest"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/api/oauth"
	"github.com/callvault/callvault/api/recordings"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/limits"
	"github.com/callvault/callvault/internal/objstore/dir"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const operatorToken = "a-token-of-operators-and-services"

// fixture is all endpoints over a real catalog and Redis. The client of a request can go away after
// a number of the catalog's operations.
type fixture struct {
	testing.TB
	catalog *catalog.Catalog
	handler http.Handler
	logs    *observer.ObservedLogs
	day     domain.Day
	app     catalog.Application
	secret  string
	key     string // an API key
	keyID   string
	budget  *web.Budget

	operations atomic.Int64 // still to come before the client goes away
	goAway     atomic.Pointer[context.CancelFunc]
}

func newFixture(t *testing.T, database string) *fixture {
	core, logs := observer.New(zapcore.DebugLevel)
	f := &fixture{TB: t, catalog: catalogtest.Open(t, database), logs: logs, budget: api.NewBudget()}
	f.catalog.DB().Observe(func(db.Observed) {
		if goAway := f.goAway.Load(); goAway != nil && f.operations.Add(-1) == 0 {
			(*goAway)()
		}
	})
	at, err := f.catalog.Now(t.Context())
	f.must(err)
	f.day = domain.DayOf(at).Add(-1)
	_, err = f.catalog.CreateTenant(t.Context(), domain.Tenant{ID: "acme", Recordings: true, Export: true, RetentionDays: 9, DayLimit: 1000, DownloadLimit: 1000}, audit.Origin{})
	f.must(err)
	f.app, f.secret, err = f.catalog.CreateApplication(t.Context(), "acme", "tests", auth.Scopes(), audit.Origin{})
	f.must(err)
	f.keyID, f.key = f.apiKey()
	store := &apitest.Store{}
	apitest.BuildHour(t, f.catalog, store, domain.HourKey{Tenant: "acme", Day: f.day, Hour: 14}, make([]byte, 300<<10))
	audio, err := dir.Open(dir.Config{Path: t.TempDir(), Alone: true})
	f.must(err)
	t.Cleanup(func() { f.must(audio.Close()) })
	f.handler = f.mount(store, audio, zap.New(core))
	f.ok(f.ask(t.Context(), "PUT", "/api/ingest/v1/audio/k/a.opus", strings.Repeat("a", 300<<10), f.platform()...))
	f.ok(f.ask(t.Context(), "POST", "/api/ingest/v1/records", `{"kind":"agent","agentId":"ag","name":"Bot"}
{"kind":"conversation","conversationId":"c1","agentId":"ag","startTime":"2025-01-01T10:00:00Z","recording":{"id":"r1","objectKey":"k/a.opus"}}
{"kind":"message","messageId":"m1","conversationId":"c1","time":1735725600,"type":"UserInput","userInput":"Hello"}`, f.platform()...))
	return f
}

func (f *fixture) apiKey() (id, secret string) {
	f.Helper()
	k, secret, err := f.catalog.CreateAPIKey(f.Context(), "acme", "tests", audit.Origin{})
	f.must(err)
	return k.ID, secret
}

// platform is the headers of the voice platform's services.
func (*fixture) platform() []string {
	return []string{"x-internal-token", operatorToken, "x-organization-id", "acme"}
}

func (f *fixture) mount(store *apitest.Store, audio *dir.Bucket, log *zap.Logger) http.Handler {
	keys, err := auth.OpenKeyring(f.Context(), f.catalog, "", time.Now)
	f.must(err)
	tokens := auth.NewTokens(auth.Config{Issuer: "https://vault.test"}, keys, f.catalog, time.Now)
	q, err := queue.Connect(testenv.Redis(f))
	f.must(err)
	f.Cleanup(func() { f.must(q.Close()) })
	schedule, err := cron.ParseStandard("0 2 * * *")
	f.must(err)
	read := conversations.New(f.catalog.DB())
	downloads := api.NewDownloadLimiter()
	families := []api.Family{
		oauth.New(oauth.Deps{Clients: f.catalog, Tokens: tokens, LogKeys: f.catalog, Log: log}),
		recordings.New(recordings.Config{LinkTTL: time.Hour}, recordings.Deps{Catalog: f.catalog, Tokens: tokens, Links: keys, Store: store, Downloads: downloads, Log: log}),
		ingest.New(ingest.Deps{Internal: api.NewSharedToken("CALLVAULT_INTERNAL_TOKEN", operatorToken, log, time.Now), Catalog: f.catalog, Audio: audio, Log: log}),
		exports.New(exports.Config{}, exports.Deps{Catalog: f.catalog, Conversations: read, Recordings: audio, Signer: keys, Downloads: downloads, Budget: f.budget, Log: log, Now: time.Now}),
		bulk.New(bulk.Config{}, bulk.Deps{Catalog: f.catalog, Conversations: read, Cursors: keys, Budget: f.budget, Log: log,
			Limiter: limits.New(limits.Config{Limit: 1000, Window: time.Second}, q.Redis())}),
		conversationsapi.New(conversationsapi.Config{}, conversationsapi.Deps{Catalog: f.catalog, Conversations: read, Store: audio, Cursors: keys, Downloads: downloads, Budget: f.budget, Log: log}),
	}
	operators, err := admin.New(admin.Config{Token: operatorToken}, admin.Deps{Catalog: f.catalog, Planner: plan.New(plan.Config{Schedule: schedule}, f.catalog, q, time.Now, log),
		Queue: q, Redis: q.Redis(), Log: log, Now: time.Now})
	f.must(err)
	return api.New(api.Config{}, api.Deps{Families: append(families, operators...), Log: log, Now: time.Now})
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) ask(ctx context.Context, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if strings.HasPrefix(path, "/connect") || strings.HasPrefix(path, "/admin") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }() // a broken connection
		f.handler.ServeHTTP(w, r)
	}()
	return w
}

func (f *fixture) ok(w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	f.Helper()
	if w.Code >= 400 {
		f.Fatalf("%d %s", w.Code, w.Body)
	}
	return w
}
