package conversations_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/conversations"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	reading "github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	key, otherKey = "key-of-acme", "key-of-other"
	plainList     = "/conversations"
	convaiList    = "/v1/convai/conversations"
)

// fixture is the family over one catalog, with tenants and their keys.
type fixture struct {
	testing.TB
	catalog *catalog.Catalog
	store   *audioStore
	handler http.Handler
	spec    *apitest.Spec
}

// audioStore is a store of audio in memory.
type audioStore struct {
	apitest.Store
	kind string // content type of every object
}

func (m *audioStore) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := m.Store.Stat(ctx, key)
	info.ContentType = m.kind
	return info, err
}

func newFixture(t testing.TB, url string) *fixture {
	t.Helper()
	f := &fixture{TB: t, store: &audioStore{kind: "audio/webm"}, spec: apitest.LoadSpec(t, "openapi.yaml"), catalog: catalogtest.Open(t, url)}
	for id, secret := range map[string]string{"acme": key, "other": otherKey} {
		_, err := f.catalog.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
		f.must(err)
		_, err = f.catalog.PutAPIKey(t.Context(), id, "test", secret, audit.Origin{})
		f.must(err)
	}
	f.handler = f.api(f.store)
	return f
}

func (f *fixture) api(store web.Store) http.Handler {
	f.Helper()
	ring, err := auth.OpenKeyring(f.Context(), f.catalog, "", time.Now)
	f.must(err)
	family := conversations.New(conversations.Config{CatalogTimeout: time.Minute}, conversations.Deps{Catalog: f.catalog, Conversations: reading.New(f.catalog.DB()), Store: store, Cursors: ring, Log: zap.NewNop()})
	return api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now})
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) load(tenant, lines string) {
	f.Helper()
	_, err := ingest.Load(f.Context(), f.catalog, tenant, strings.NewReader(lines), nil)
	f.must(err)
}

func (f *fixture) sample() {
	f.Helper()
	lines, err := os.ReadFile("testdata/sample.ndjson")
	f.must(err)
	f.load("acme", string(lines))
	f.store.Put("acme/calls/1.webm", []byte("0123456789"))
}

func request(method, target, key string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if key != "" {
		r.Header.Set("x-api-key", key)
	}
	return r
}

func (f *fixture) get(target string) apitest.Answer {
	f.Helper()
	return f.spec.Do(f, f.handler, request(http.MethodGet, target, key))
}

type page struct {
	Conversations []struct {
		ID           string `json:"conversation_id"`
		MessageCount int    `json:"message_count"`
	} `json:"conversations"`
	HasMore    bool    `json:"has_more"`
	Cursor     *string `json:"cursor"`
	NextCursor *string `json:"next_cursor"`
}

func (f *fixture) page(target string) (p page) {
	f.Helper()
	a := f.get(target)
	if a.Status != http.StatusOK {
		f.Fatalf("%s answered %d: %s", target, a.Status, a.Body)
	}
	f.must(json.Unmarshal(a.Body, &p))
	if p.HasMore != (p.Cursor != nil) || (p.Cursor == nil) != (p.NextCursor == nil) || p.Cursor != nil && *p.Cursor != *p.NextCursor {
		f.Fatalf("%s: %s", target, a.Body)
	}
	return p
}

// walk reads all pages and gives the ids in their order.
func (f *fixture) walk(target string) (ids []string, pages int) {
	f.Helper()
	for next := target; ; {
		p := f.page(next)
		pages++
		for _, row := range p.Conversations {
			ids = append(ids, row.ID)
		}
		if p.Cursor == nil {
			return ids, pages
		}
		next = target + "&cursor=" + *p.Cursor
	}
}

func TestGolden(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			f.sample()
			for file, path := range map[string]string{
				"list.json":          "?page_size=2",
				"summaries.json":     "?summary_mode=include&agent_id=agent_1",
				"single.json":        "/conv_raw",
				"from_messages.json": "/conv_messages",
				"bare.json":          "/conv%2Fbare",
			} {
				for dialect, root := range map[string]string{"": plainList, "convai_": convaiList} {
					a := f.get(root + path)
					if a.Status != http.StatusOK {
						t.Errorf("%s%s: %d %s", root, path, a.Status, a.Body)
					}
					body := a.Body
					if file == "list.json" { // its cursor differs each time
						p := f.page(root + path)
						body = []byte(strings.ReplaceAll(string(body), *p.Cursor, "CURSOR"))
					}
					apitest.Golden(t, dialect+file, apitest.Pretty(t, body))
				}
			}
		})
	}
}

func TestAccess(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	header := func(name, value string) *http.Request {
		r := request(http.MethodGet, "/conversations", "")
		r.Header.Set(name, value)
		return r
	}
	empty := header("xi-api-key", key)
	empty.Header["X-Api-Key"], empty.Header["Authorization"] = []string{""}, []string{""}
	large := func(key string) *http.Request {
		r := request(http.MethodGet, "/conversations", key)
		r.ContentLength = 2 << 20
		return r
	}
	two := header("x-api-key", key)
	two.Header.Add("x-api-key", key)
	for name, c := range map[string]struct {
		r      *http.Request
		status int
	}{
		"x-api-key":      {header("x-api-key", key), 200},
		"xi-api-key":     {header("xi-api-key", key), 200},
		"Bearer":         {header("Authorization", "bearer "+key), 200},
		"empty headers":  {empty, 200},
		"large body":     {large(key), 413},
		"large, no key":  {large(""), 401},
		"Basic":          {header("Authorization", "Basic "+key), 401},
		"no key":         {request(http.MethodGet, "/conversations", ""), 401},
		"wrong key":      {header("xi-api-key", key+"x"), 401},
		"two keys":       {two, 401},
		"convai, no key": {request(http.MethodGet, convaiList+"?page_size=x", ""), 401},
		"POST":           {request(http.MethodPost, "/conversations", key), 405},
		"DELETE":         {request(http.MethodDelete, convaiList+"/conv_raw", key), 405},
		"HEAD":           {request(http.MethodHead, "/conversations/conv_raw", key), 200},
		"HEAD of audio":  {request(http.MethodHead, "/conversations/conv_raw/audio", key), 200},
		"stub":           {request(http.MethodGet, "/conversations/conv_stub", key), 404},
	} {
		if a := f.spec.Do(t, f.handler, c.r); a.Status != c.status {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, path := range []string{"/conversations/", "/conversations/a/b", "/conversations/a/audio/", "/v1/convai", "/v1/convai/x", "/v1/convai/conversations/"} {
		r := request(http.MethodGet, "/", key)
		r.URL.Path, r.URL.RawPath = path, path
		if a := apitest.Do(f.handler, r); a.Status != http.StatusNotFound || !strings.Contains(string(a.Body), `{"detail":{"status":"not_found"`) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// The answer for another tenant's conversation is byte for byte that for an unknown one.
func TestForeign(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	for _, root := range []string{plainList, convaiList} {
		for _, end := range []string{"", "/audio"} {
			var bodies []string
			for _, id := range []string{"conv_raw", "nothing", "conv_stub"} {
				a := f.spec.Do(t, f.handler, request(http.MethodGet, root+"/"+id+end, otherKey))
				bodies = append(bodies, fmt.Sprint(a.Status, string(a.Body)))
			}
			if bodies[0] != bodies[1] || bodies[1] != bodies[2] || !strings.HasPrefix(bodies[0], "404") || strings.Contains(bodies[0], "conv_raw") {
				t.Errorf("%s%s: %q", root, end, bodies)
			}
		}
		if got, _ := (&fixture{TB: t, spec: f.spec, handler: f.handler, catalog: f.catalog}).foreign(root); got != `{"conversations":[],"has_more":false,"cursor":null,"next_cursor":null}`+"\n" {
			t.Errorf("%s: %s", root, got)
		}
	}
}

func (f *fixture) foreign(target string) (string, int) {
	a := f.spec.Do(f, f.handler, request(http.MethodGet, target, otherKey))
	return string(a.Body), a.Status
}

func TestAudio(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	for _, root := range []string{plainList, convaiList} {
		target := root + "/conv_raw/audio"
		for name, c := range map[string]struct {
			span, body string
			status     int
		}{
			"whole":        {"", "0123456789", 200},
			"first":        {"bytes=0-3", "0123", 206},
			"last":         {"bytes=-2", "89", 206},
			"rest":         {"bytes=4-", "456789", 206},
			"beyond":       {"bytes=10-", "", 416},
			"several":      {"bytes=0-0,9-9", "", 206},
			"side by side": {"bytes=0-3,4-", "", 206},
		} {
			r := request(http.MethodGet, target, key)
			if c.span != "" {
				r.Header.Set("Range", c.span)
			}
			a := f.spec.Do(t, f.handler, r)
			if a.Status != c.status || c.body != "" && string(a.Body) != c.body {
				t.Errorf("%s: %d %q", name, a.Status, a.Body)
			}
			if a.Status == 200 && (a.Header.Get("Content-Type") != "audio/webm" || a.Header.Get("ETag") == "" || a.Header.Get("X-Content-Type-Options") != "nosniff" ||
				a.Header.Get("Content-Disposition") != `attachment; filename="1.webm"` || !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "sandbox; default-src 'none'")) {
				t.Errorf("%s: %v", name, a.Header)
			}
		}
		if a := f.get(root + "/conv_messages/audio"); a.Status != http.StatusNotFound || !strings.Contains(string(a.Body), "audio_not_found") {
			t.Errorf("without a recording: %d %s", a.Status, a.Body)
		}
	}
	f.store.Fail = domain.Errorf(domain.KindUnavailable, "down")
	for _, path := range []string{"/conv_raw/audio", "/conv_raw"} { // the store does not tell whether there is a recording
		if a := f.get(plainList + path); a.Status != http.StatusServiceUnavailable {
			t.Errorf("%s without the store: %d", path, a.Status)
		}
	}
	f.store.Fail, f.store.FailGet = nil, domain.Errorf(domain.KindUnreadable, "cold")
	if a := f.get(plainList + "/conv_raw/audio"); a.Status != http.StatusNotFound || a.Header.Get("ETag") != "" {
		t.Errorf("an object that gives no bytes: %d", a.Status)
	}
	f.store.FailGet, f.store.Cold = nil, true
	if a := f.get(plainList + "/conv_raw/audio"); a.Status != http.StatusNotFound {
		t.Errorf("an object in cold storage: %d", a.Status)
	}
	if a := f.get(plainList + "/conv_raw"); strings.Count(string(a.Body), `audio":false`) != 4 {
		t.Errorf("an object in cold storage: %d %s", a.Status, a.Body)
	}
	f.store.Cold = false
	f.store.Delete("acme/calls/1.webm")
	if a := f.get(plainList + "/conv_raw/audio"); a.Status != http.StatusNotFound {
		t.Errorf("without the object: %d", a.Status)
	}
	if a := f.get(plainList + "/conv_raw"); a.Status != http.StatusOK || strings.Count(string(a.Body), `audio":false`) != 4 {
		t.Errorf("without the object: %d %s", a.Status, a.Body)
	}
}
