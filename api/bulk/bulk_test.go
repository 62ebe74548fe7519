package bulk_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/bulk"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/limits"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	sampleQuery        = "start_time=1696118400&end_time=1696550400&bot_name=r3-218210&per_page=1000"
	sampleKey          = "<api_key>"
	conversationsPath  = "/conversations/export/v1/conversations"
	messagesPath       = "/conversations/export/v1/messages"
	allTime            = "start_time=0&end_time=253402300800&bot_name=r3-218210"
	otherKey           = "other-key"
	featurelessKey     = "featureless-key"
	tenant, otherOwner = "acme", "other"
)

// fixture is the family over one catalog, with tenants and their keys.
type fixture struct {
	testing.TB
	catalog *catalog.Catalog
	url     string  // of the catalog
	db      *sql.DB // the same database; nil until it is needed
	handler http.Handler
	spec    *apitest.Spec
	limiter *fakeLimiter
	config  bulk.Config
}

// fakeLimiter counts in memory, and refuses only when refuse is set.
type fakeLimiter struct {
	mu     sync.Mutex
	takes  int
	refuse bool
	err    error
}

func (f *fakeLimiter) use(n int) (limits.Use, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes += n
	return limits.Use{Allowed: !f.refuse, Limit: 3, Remaining: 2, Reset: 700 * time.Millisecond}, f.err
}

func newFixture(t testing.TB, url string) *fixture {
	t.Helper()
	f := &fixture{TB: t, config: bulk.Config{CatalogTimeout: time.Minute}, url: url, limiter: &fakeLimiter{}, spec: apitest.LoadSpec(t, "openapi.yaml")}
	f.catalog = catalogtest.Open(t, url)
	for _, id := range []string{tenant, otherOwner, "plain"} {
		tenant := domain.NewTenant(id, 3)
		tenant.Export = id != "plain"
		_, err := f.catalog.CreateTenant(t.Context(), tenant, audit.Origin{})
		f.must(err)
	}
	for key, owner := range map[string]string{sampleKey: tenant, otherKey: otherOwner, featurelessKey: "plain"} {
		_, err := f.catalog.PutAPIKey(t.Context(), owner, "test", key, audit.Origin{})
		f.must(err)
	}
	f.handler = f.api(f.rows(), f.limiter)
	return f
}

// Take and Peek implement bulk.Limiter.
func (f *fakeLimiter) Take(context.Context, string) (limits.Use, error) { return f.use(1) }
func (f *fakeLimiter) Peek(context.Context, string) (limits.Use, error) { return f.use(0) }

func (f *fixture) api(c bulk.Conversations, limiter bulk.Limiter) http.Handler {
	f.Helper()
	ring, err := auth.OpenKeyring(f.Context(), f.catalog, "", time.Now)
	f.must(err)
	family := bulk.New(f.config, bulk.Deps{Catalog: f.catalog, Conversations: c, Limiter: limiter, Cursors: ring, Log: zap.NewNop()})
	return api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now})
}

func (f *fixture) rows() *conversations.Reader { return conversations.New(f.catalog.DB()) }

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// load ingests lines for the tenant.
func (f *fixture) load(tenant, lines string) {
	f.Helper()
	_, err := ingest.Load(f.Context(), f.catalog, tenant, strings.NewReader(lines), nil)
	f.must(err)
}

func (f *fixture) sample() {
	f.Helper()
	lines, err := os.ReadFile("testdata/sample.ndjson")
	f.must(err)
	f.load(tenant, string(lines))
}

func request(method, target, key string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if key != "" {
		r.Header.Set("x-api-key", key)
	}
	return r
}

// get sends a request with the sample's key and checks the answer against the OpenAPI document.
func (f *fixture) get(target string) apitest.Answer {
	f.Helper()
	return f.spec.Do(f, f.handler, request(http.MethodGet, target, sampleKey))
}

type page struct {
	Data []struct {
		ID   string      `json:"_id"`
		Time json.Number `json:"time"`
		User int         `json:"userMessageCount"`
	} `json:"data"`
	Cursor *string `json:"cursor"`
}

func (f *fixture) page(target string) page {
	f.Helper()
	a := f.get(target)
	var p page
	if a.Status != http.StatusOK {
		f.Fatalf("%s answered %d: %s", target, a.Status, a.Body)
	}
	f.must(json.Unmarshal(a.Body, &p))
	return p
}

// walk reads all pages and gives the ids in their order. It calls between after each page.
func (f *fixture) walk(target string, between func(pages int)) (ids []string) {
	f.Helper()
	next := target
	for pages := 1; ; pages++ {
		p := f.page(next)
		for _, row := range p.Data {
			ids = append(ids, row.ID)
		}
		if p.Cursor == nil {
			return ids
		}
		if between != nil {
			between(pages)
		}
		next = target + "&cursor=" + url.QueryEscape(*p.Cursor)
	}
}

func TestSamples(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			f.sample()
			// The requests as the documentation prints them; their time range is empty.
			for _, path := range []string{conversationsPath, messagesPath} {
				a := f.get(path + "?" + sampleQuery)
				if a.Status != http.StatusOK || string(a.Body) != "{\"data\":[],\"cursor\":null}\n" {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
				}
			}
			for file, target := range map[string]string{
				"conversations.json":    conversationsPath + "?start_time=1744750665&end_time=1744750666&bot_name=r3-218210&per_page=1000",
				"messages.json":         messagesPath + "?start_time=1744651778&end_time=1744651794&bot_name=r3-218210&per_page=1000",
				"messages_of_one.json":  messagesPath + "?" + allTime + "&conversation_id=7eee0bbc78414f649a311c7ce4a87ead",
				"messages_of_none.json": messagesPath + "?" + allTime + "&conversation_id=unknown",
			} {
				apitest.Golden(t, file, apitest.Pretty(t, f.get(target).Body))
			}
			for file, path := range map[string]string{"conversations.ndjson": conversationsPath, "messages.ndjson": messagesPath} {
				r := request(http.MethodGet, path+"?"+allTime, sampleKey)
				r.Header.Set("Accept", "application/x-ndjson")
				a := apitest.Do(f.handler, r)
				if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/x-ndjson" {
					t.Errorf("%s: %d %v", path, a.Status, a.Header)
				}
				apitest.Golden(t, file, a.Body)
			}
		})
	}
}

// Two replicas with one Redis share the limit.
func TestLimitAcrossReplicas(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	server := testenv.NewRedis(t)
	options, err := redis.ParseURL(server.URL())
	f.must(err)
	client := redis.NewClient(options)
	t.Cleanup(func() { f.must(client.Close()) })
	// The window is an hour instead of a second, so that it does not end during the test.
	var replicas []http.Handler
	for range 2 {
		replicas = append(replicas, f.api(f.rows(), limits.New(limits.Config{Limit: 3, Window: time.Hour, Timeout: time.Minute}, client)))
	}
	ask := func(i int, method, target string) apitest.Answer {
		t.Helper()
		return f.spec.Do(t, replicas[i%2], request(method, target, sampleKey))
	}
	target := conversationsPath + "?" + allTime
	for i, want := range []struct {
		method, target, remaining string
		status                    int
	}{
		{http.MethodGet, target, "2", 200},
		{http.MethodHead, target, "2", 200},
		{http.MethodGet, conversationsPath, "1", 400}, // an error counts
		{http.MethodGet, target, "0", 200},
		{http.MethodGet, target, "0", 429},
		{http.MethodGet, target, "0", 429},
		{http.MethodHead, target, "0", 200},
		{http.MethodGet, messagesPath + "?" + allTime, "2", 200},
	} {
		a := ask(i, want.method, want.target)
		if a.Status != want.status || a.Header.Get("X-RateLimit-Remaining") != want.remaining || a.Header.Get("X-RateLimit-Limit") != "3" {
			t.Errorf("request %d: %d, %v", i, a.Status, a.Header)
		}
	}
	server.Stop()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if a := ask(0, method, target); a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" ||
			a.Header.Get("X-RateLimit-Limit") != "3" || a.Header.Get("X-RateLimit-Remaining") != "0" || a.Header.Get("X-RateLimit-Reset") != "3600" {
			t.Errorf("without Redis: %d, %v", a.Status, a.Header)
		}
	}
}

func TestAccess(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	target := conversationsPath + "?" + allTime
	for name, c := range map[string]struct {
		method, target, key string
		status              int
	}{
		"no key":              {http.MethodGet, target, "", 401},
		"empty key":           {http.MethodGet, target, " ", 401},
		"wrong key":           {http.MethodGet, target, "x", 401},
		"without the feature": {http.MethodGet, target, featurelessKey, 403},
		"another tenant's":    {http.MethodGet, target, otherKey, 404},
		"a method":            {http.MethodPost, target, sampleKey, 405},
		"HEAD":                {http.MethodHead, target, sampleKey, 200},
		"HEAD of nothing":     {http.MethodHead, target, otherKey, 404},
		"HEAD without a key":  {http.MethodHead, target, "", 401},
	} {
		a := f.spec.Do(t, f.handler, request(c.method, c.target, c.key))
		if a.Status != c.status {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	r := request(http.MethodGet, target, sampleKey)
	r.Header.Add("x-api-key", sampleKey)
	if a := f.spec.Do(t, f.handler, r); a.Status != http.StatusUnauthorized {
		t.Errorf("two keys: %d", a.Status)
	}
	for _, path := range []string{"/conversations/export/v1", "/conversations/export/v1/", "/conversations/export/v1/x", conversationsPath + "/"} {
		if a := apitest.Do(f.handler, request(http.MethodGet, path, sampleKey)); a.Status != http.StatusNotFound || !strings.Contains(string(a.Body), `"error"`) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	before := f.limiter.takes
	f.spec.Do(t, f.handler, request(http.MethodHead, target, sampleKey))
	f.spec.Do(t, f.handler, request(http.MethodGet, target, "x"))
	if f.limiter.takes != before {
		t.Error("what has no good key, or is a HEAD, was counted")
	}
	f.limiter.refuse = true
	if a := f.get(target); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" || a.Header.Get("X-RateLimit-Reset") != "1" {
		t.Errorf("beyond the limit: %d %v", a.Status, a.Header)
	}
}
