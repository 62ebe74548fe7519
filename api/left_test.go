package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// leaver is all endpoints over a real catalog and Redis, with a client that leaves after a number of
// the catalog's operations.
type leaver struct {
	testing.TB
	catalog *catalog.Catalog
	handler http.Handler
	logs    *observer.ObservedLogs
	day     domain.Day
	app     catalog.Application
	secret  string
	key     string // an API key

	operations atomic.Int64 // still to come before the client leaves
	leave      atomic.Pointer[context.CancelFunc]
}

func newLeaver(t *testing.T, database string) *leaver {
	core, logs := observer.New(zapcore.DebugLevel)
	l := &leaver{TB: t, catalog: catalogtest.Open(t, database), logs: logs}
	l.catalog.DB().Observe(func(db.Observed) {
		if leave := l.leave.Load(); leave != nil && l.operations.Add(-1) == 0 {
			(*leave)()
		}
	})
	at, err := l.catalog.Now(t.Context())
	l.must(err)
	l.day = domain.DayOf(at).Add(-1)
	_, err = l.catalog.CreateTenant(t.Context(), domain.Tenant{ID: "acme", Recordings: true, Export: true, RetentionDays: 9, DayLimit: 1000, DownloadLimit: 1000}, audit.Origin{})
	l.must(err)
	l.app, l.secret, err = l.catalog.CreateApplication(t.Context(), "acme", "tests", auth.Scopes(), audit.Origin{})
	l.must(err)
	_, l.key, err = l.catalog.CreateAPIKey(t.Context(), "acme", "tests", audit.Origin{})
	l.must(err)
	store := &apitest.Store{}
	apitest.BuildHour(t, l.catalog, store, domain.HourKey{Tenant: "acme", Day: l.day, Hour: 14}, make([]byte, 300<<10))
	audio, err := dir.Open(dir.Config{Path: t.TempDir(), Alone: true})
	l.must(err)
	t.Cleanup(func() { l.must(audio.Close()) })
	l.handler = l.mount(store, audio, zap.New(core))
	l.ok(l.ask(t.Context(), "PUT", "/api/ingest/v1/audio/k/a.opus", strings.Repeat("a", 300<<10), l.platform()...))
	l.ok(l.ask(t.Context(), "POST", "/api/ingest/v1/records", `{"kind":"agent","agentId":"ag","name":"Bot"}
{"kind":"conversation","conversationId":"c1","agentId":"ag","startTime":"2025-01-01T10:00:00Z","recording":{"id":"r1","objectKey":"k/a.opus"}}
{"kind":"message","messageId":"m1","conversationId":"c1","time":1735725600,"type":"UserInput","userInput":"Hello"}`, l.platform()...))
	return l
}

// platform is the headers of the voice platform's services.
func (*leaver) platform() []string {
	return []string{"x-internal-token", operatorToken, "x-organization-id", "acme"}
}

func (l *leaver) mount(store *apitest.Store, audio *dir.Bucket, log *zap.Logger) http.Handler {
	keys, err := auth.OpenKeyring(l.Context(), l.catalog, "", time.Now)
	l.must(err)
	tokens := auth.NewTokens(auth.Config{Issuer: "https://vault.test"}, keys, l.catalog, time.Now)
	q, err := queue.Connect(testenv.Redis(l))
	l.must(err)
	l.Cleanup(func() { l.must(q.Close()) })
	schedule, err := cron.ParseStandard("0 2 * * *")
	l.must(err)
	read := conversations.New(l.catalog.DB())
	downloads, budget := api.NewDownloadLimiter(), api.NewBudget()
	families := []api.Family{
		oauth.New(oauth.Deps{Clients: l.catalog, Tokens: tokens, Log: log}),
		recordings.New(recordings.Config{LinkTTL: time.Hour}, recordings.Deps{Catalog: l.catalog, Tokens: tokens, Links: keys, Store: store, Downloads: downloads, Log: log}),
		ingest.New(ingest.Deps{Internal: api.NewSharedToken("CALLVAULT_INTERNAL_TOKEN", operatorToken, log, time.Now), Catalog: l.catalog, Audio: audio, Log: log}),
		exports.New(exports.Config{}, exports.Deps{Catalog: l.catalog, Conversations: read, Recordings: audio, Signer: keys, Downloads: downloads, Budget: budget, Log: log, Now: time.Now}),
		bulk.New(bulk.Config{}, bulk.Deps{Catalog: l.catalog, Conversations: read, Cursors: keys, Budget: budget, Log: log,
			Limiter: limits.New(limits.Config{Limit: 1000, Window: time.Second}, q.Redis())}),
		conversationsapi.New(conversationsapi.Config{}, conversationsapi.Deps{Catalog: l.catalog, Conversations: read, Store: audio, Cursors: keys, Downloads: downloads, Budget: budget, Log: log}),
	}
	operators, err := admin.New(admin.Config{Token: operatorToken}, admin.Deps{Catalog: l.catalog, Planner: plan.New(plan.Config{Schedule: schedule}, l.catalog, q, time.Now, log),
		Queue: q, Redis: q.Redis(), Log: log, Now: time.Now})
	l.must(err)
	return api.New(api.Config{}, api.Deps{Families: append(families, operators...), Log: log, Now: time.Now})
}

func (l *leaver) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *leaver) ask(ctx context.Context, method, path, body string, headers ...string) *httptest.ResponseRecorder {
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
		l.handler.ServeHTTP(w, r)
	}()
	return w
}

func (l *leaver) ok(w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	l.Helper()
	if w.Code >= 400 {
		l.Fatalf("%d %s", w.Code, w.Body)
	}
	return w
}

// A client that leaves is no outage, whatever it leaves, and whenever.
func TestClientThatLeaves(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			l := newLeaver(t, database(t))
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {l.app.ID}, "client_secret": {l.secret}}.Encode()
			var token struct {
				Access string `json:"access_token"`
			}
			l.must(json.Unmarshal(l.ok(l.ask(t.Context(), "POST", "/connect/token", form)).Body.Bytes(), &token))
			dayPath := "/api/external/conversations/daily-audio-recordings/" + string(l.day)
			var day struct{ Links []struct{ URL *string } }
			l.must(json.Unmarshal(l.ok(l.ask(t.Context(), "GET", dayPath, "", "Authorization", "Bearer "+token.Access)).Body.Bytes(), &day))
			const export = `{"conversationId":"c1","includeRecording":true}`
			var exported struct {
				Conversation struct{ Recording struct{ SignedURL string } }
			}
			l.must(json.Unmarshal(l.ok(l.ask(t.Context(), "POST", "/export/conversation", export, "x-api-key", l.key, "Content-Type", "application/json")).Body.Bytes(), &exported))
			session := l.ok(l.ask(t.Context(), "POST", "/admin/signin", "token="+operatorToken)).Header().Get("Set-Cookie")
			console := []string{"Cookie", session[:strings.IndexByte(session, ';')]}
			operator := []string{"Authorization", "Bearer " + operatorToken}
			key := []string{"x-api-key", l.key}
			for _, c := range []struct {
				method, path, body string
				headers            []string
			}{
				{"POST", "/connect/token", form, nil},
				{"GET", dayPath, "", []string{"Authorization", "Bearer " + token.Access}},
				{"GET", *day.Links[14].URL, "", nil},
				{"GET", *day.Links[14].URL, "", []string{"Range", "bytes=1-"}},
				{"POST", "/api/ingest/v1/records", `{"kind":"agent","agentId":"ag","name":"Bot","mode":"text"}`, l.platform()},
				{"PUT", "/api/ingest/v1/audio/k/a.opus", strings.Repeat("a", 300<<10), l.platform()},
				{"POST", "/export/conversation", export, append(key, "Content-Type", "application/json")},
				{"GET", exported.Conversation.Recording.SignedURL, "", nil},
				{"GET", "/conversations/export/v1/conversations?bot_name=Bot&start_time=0&end_time=2000000000", "", key},
				{"GET", "/conversations/export/v1/messages?bot_name=Bot&start_time=0&end_time=2000000000", "", append(key, "Accept", web.NDJSON)},
				{"GET", "/conversations?summary_mode=include", "", key},
				{"GET", "/conversations/c1", "", key},
				{"GET", "/v1/convai/conversations/c1/audio", "", key},
				{"GET", "/api/admin/v1/calendar", "", operator},
				{"POST", "/api/admin/v1/tenants/acme/days/" + string(l.day) + "/rebuild", "{}", operator},
				{"GET", "/api/admin/v1/running", "", operator},
				{"GET", "/admin", "", console},
				{"GET", "/admin/tenants/acme", "", console},
				{"GET", "/admin/tenants/acme/days/" + string(l.day) + "/hours/14", "", console},
				{"POST", "/admin/tenants/acme/days/" + string(l.day) + "/rebuild", "hours=all", console},
				{"GET", "/admin/running/part", "", console},
				{"GET", "/admin/queues/api/queues", "", console},
			} {
				l.leaves(c.method, c.path, c.body, c.headers...)
			}
		})
	}
}

// leaves sends a request again and again. Each time its client stays for one more operation of the
// catalog, until the request is answered before.
func (l *leaver) leaves(method, path, body string, headers ...string) {
	l.Helper()
	route, _, _ := strings.Cut(path, "?")
	for stays := range 30 {
		_ = l.logs.TakeAll()
		ctx, cancel := context.WithCancel(l.Context())
		l.operations.Store(int64(stays))
		l.leave.Store(&cancel)
		if stays == 0 {
			cancel()
		}
		w := l.ask(ctx, method, path, body, headers...)
		l.leave.Store(nil)
		left := ctx.Err() != nil
		cancel()
		for _, line := range l.logs.All() {
			if line.Level >= zapcore.WarnLevel {
				l.Errorf("%s %s, left after %d operations: %s %v", method, route, stays, line.Message, line.ContextMap())
			}
			if status, known := line.ContextMap()["status"].(int64); known && status != 499 && (status >= 400 || status == 0) {
				l.Errorf("%s %s, left after %d operations: logged as %d", method, route, stays, status)
			}
		}
		if !left {
			l.ok(w)
			return
		}
	}
	l.Errorf("%s %s never ends", method, route)
}
