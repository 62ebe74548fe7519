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
	wholeWindow        = "start_time=0&end_time=253402300800&bot_name=r3-218210"
	otherKey           = "other-key"
	featurelessKey     = "featureless-key"
	tenant, otherOwner = "acme", "other"
)

// bench is one API over one catalog.
type bench struct {
	testing.TB
	catalog *catalog.Catalog
	url     string  // of the catalog
	db      *sql.DB // the same database, once it was needed
	handler http.Handler
	spec    *apitest.Spec
	limiter *free
	config  bulk.Config
}

// free counts in memory and refuses nothing unless told to: what is exact is the limiter's own test.
type free struct {
	mu     sync.Mutex
	takes  int
	refuse bool
	err    error
}

func (f *free) use(n int) (limits.Use, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes += n
	return limits.Use{Allowed: !f.refuse, Limit: 3, Remaining: 2, Reset: 700 * time.Millisecond}, f.err
}

func newBench(t testing.TB, url string) *bench {
	t.Helper()
	b := &bench{TB: t, config: bulk.Config{CatalogTimeout: time.Minute}, url: url, limiter: &free{}, spec: apitest.LoadSpec(t, "openapi.yaml")}
	b.catalog = apitest.Open(t, url)
	for _, id := range []string{tenant, otherOwner, "plain"} {
		_, err := b.catalog.CreateTenant(t.Context(), domain.Tenant{ID: id, Export: id != "plain", RetentionDays: 3,
			DayLimit: domain.DefaultDayLimit, DownloadLimit: domain.DefaultDownloadLimit})
		b.must(err)
	}
	for key, owner := range map[string]string{sampleKey: tenant, otherKey: otherOwner, featurelessKey: "plain"} {
		_, err := b.catalog.PutAPIKey(t.Context(), owner, "test", key)
		b.must(err)
	}
	b.handler = b.api(b.catalog, b.limiter)
	return b
}

// Take and Peek implement bulk.Limiter.
func (f *free) Take(context.Context, string) (limits.Use, error) { return f.use(1) }
func (f *free) Peek(context.Context, string) (limits.Use, error) { return f.use(0) }

func (b *bench) api(c bulk.Catalog, limiter bulk.Limiter) http.Handler {
	b.Helper()
	ring, err := auth.OpenKeyring(b.Context(), b.catalog, "", time.Now)
	b.must(err)
	family := bulk.New(b.config, bulk.Deps{Catalog: c, Limiter: limiter, Cursors: ring, Log: zap.NewNop()})
	return api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now})
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// load takes in lines for the tenant.
func (b *bench) load(tenant, lines string) {
	b.Helper()
	_, err := ingest.Load(b.Context(), b.catalog, tenant, strings.NewReader(lines), nil)
	b.must(err)
}

func (b *bench) sample() {
	b.Helper()
	lines, err := os.ReadFile("testdata/sample.ndjson")
	b.must(err)
	b.load(tenant, string(lines))
}

func request(method, target, key string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if key != "" {
		r.Header.Set("x-api-key", key)
	}
	return r
}

// get asks with the sample's key and checks the answer.
func (b *bench) get(target string) apitest.Answer {
	b.Helper()
	return b.spec.Do(b, b.handler, request(http.MethodGet, target, sampleKey))
}

type page struct {
	Data []struct {
		ID   string      `json:"_id"`
		Time json.Number `json:"time"`
		User int         `json:"userMessageCount"`
	} `json:"data"`
	Cursor *string `json:"cursor"`
}

func (b *bench) page(target string) page {
	b.Helper()
	a := b.get(target)
	var p page
	if a.Status != http.StatusOK {
		b.Fatalf("%s answered %d: %s", target, a.Status, a.Body)
	}
	b.must(json.Unmarshal(a.Body, &p))
	return p
}

// walk goes through all pages and gives the ids in their order.
func (b *bench) walk(target string, between func(pages int)) (ids []string) {
	b.Helper()
	next := target
	for pages := 1; ; pages++ {
		p := b.page(next)
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
			b := newBench(t, database(t))
			b.sample()
			// The requests as the documentation prints them: nothing happened in their window.
			for _, path := range []string{conversationsPath, messagesPath} {
				a := b.get(path + "?" + sampleQuery)
				if a.Status != http.StatusOK || string(a.Body) != "{\"data\":[],\"cursor\":null}\n" {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
				}
			}
			for file, target := range map[string]string{
				"conversations.json":    conversationsPath + "?start_time=1744750665&end_time=1744750666&bot_name=r3-218210&per_page=1000",
				"messages.json":         messagesPath + "?start_time=1744651778&end_time=1744651794&bot_name=r3-218210&per_page=1000",
				"messages_of_one.json":  messagesPath + "?" + wholeWindow + "&conversation_id=7eee0bbc78414f649a311c7ce4a87ead",
				"messages_of_none.json": messagesPath + "?" + wholeWindow + "&conversation_id=unknown",
			} {
				apitest.Golden(t, file, pretty(t, b.get(target).Body))
			}
			for file, path := range map[string]string{"conversations.ndjson": conversationsPath, "messages.ndjson": messagesPath} {
				r := request(http.MethodGet, path+"?"+wholeWindow, sampleKey)
				r.Header.Set("Accept", "application/x-ndjson")
				a := apitest.Do(b.handler, r)
				if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/x-ndjson" {
					t.Errorf("%s: %d %v", path, a.Status, a.Header)
				}
				apitest.Golden(t, file, a.Body)
			}
		})
	}
}

// pretty indents JSON and keeps its order and spelling.
func pretty(t *testing.T, body []byte) []byte {
	t.Helper()
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(json.RawMessage(body)); err != nil {
		t.Fatal(err)
	}
	return []byte(out.String())
}

// TestLimitAcrossReplicas lets two handlers share one Redis.
func TestLimitAcrossReplicas(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	b.sample()
	server := testenv.NewRedis(t)
	options, err := redis.ParseURL(server.URL())
	b.must(err)
	client := redis.NewClient(options)
	t.Cleanup(func() { b.must(client.Close()) })
	// A window that no slow machine outlives stands for the second.
	var replicas []http.Handler
	for range 2 {
		replicas = append(replicas, b.api(b.catalog, limits.New(limits.Config{Limit: 3, Window: time.Hour, Timeout: time.Minute}, client)))
	}
	ask := func(i int, method, target string) apitest.Answer {
		t.Helper()
		return b.spec.Do(t, replicas[i%2], request(method, target, sampleKey))
	}
	target := conversationsPath + "?" + wholeWindow
	for i, want := range []struct {
		method, target, remaining string
		status                    int
	}{
		{http.MethodGet, target, "2", 200},
		{http.MethodHead, target, "2", 200},
		{http.MethodGet, conversationsPath, "1", 400}, // errors count
		{http.MethodGet, target, "0", 200},
		{http.MethodGet, target, "0", 429},
		{http.MethodGet, target, "0", 429},
		{http.MethodHead, target, "0", 200},
		{http.MethodGet, messagesPath + "?" + wholeWindow, "2", 200},
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
	b := newBench(t, apitest.SQLite(t))
	b.sample()
	target := conversationsPath + "?" + wholeWindow
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
		a := b.spec.Do(t, b.handler, request(c.method, c.target, c.key))
		if a.Status != c.status {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	r := request(http.MethodGet, target, sampleKey)
	r.Header.Add("x-api-key", sampleKey)
	if a := b.spec.Do(t, b.handler, r); a.Status != http.StatusUnauthorized {
		t.Errorf("two keys: %d", a.Status)
	}
	for _, path := range []string{"/conversations/export/v1", "/conversations/export/v1/", "/conversations/export/v1/x", conversationsPath + "/"} {
		if a := apitest.Do(b.handler, request(http.MethodGet, path, sampleKey)); a.Status != http.StatusNotFound || !strings.Contains(string(a.Body), `"error"`) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	before := b.limiter.takes
	b.spec.Do(t, b.handler, request(http.MethodHead, target, sampleKey))
	b.spec.Do(t, b.handler, request(http.MethodGet, target, "x"))
	if b.limiter.takes != before {
		t.Error("what has no good key, or is a HEAD, was counted")
	}
	b.limiter.refuse = true
	if a := b.get(target); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" || a.Header.Get("X-RateLimit-Reset") != "1" {
		t.Errorf("beyond the limit: %d %v", a.Status, a.Header)
	}
}
