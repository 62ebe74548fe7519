package exports_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	formPath = "/api/export/conversation"
	jsonPath = "/api/export/conversation/json"
	docPath  = "/export/conversation"
	internal = "internal-secret"
	public   = "https://vault.test"
	sampleID = "agent_abc123_1705320000_user123"
	sampleAt = "2024-01-15T10:35:00Z"
	audioKey = "recordings/2024/01/15/agent_abc123_1705320000_user123.webm"
)

func paths() []string { return []string{formPath, jsonPath, docPath} }

// bucket is a bucket in memory. Fail, when set, is what every call answers.
type bucket struct {
	apitest.Archives
	kind string
}

func (b *bucket) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := b.Archives.Stat(ctx, key)
	info.ContentType = b.kind
	return info, err
}

// world is the family with all that stands behind it.
type world struct {
	*testing.T
	c     *catalog.Catalog
	store *bucket
	deps  exports.Deps
	h     http.Handler
	spec  *apitest.Spec
	key   string // API key of org_123

	now *atomic.Int64 // Unix seconds
}

// newWorld makes the tenants org_123 and org_456, the first with the sample's data.
func newWorld(t *testing.T, url string, cfg exports.Config) *world {
	t.Helper()
	w := &world{T: t, c: apitest.Open(t, url), store: &bucket{kind: "video/webm"}, spec: apitest.LoadSpec(t, "openapi.yaml"), now: new(atomic.Int64)}
	at, err := time.Parse(time.RFC3339, sampleAt)
	w.must(err)
	w.now.Store(at.Unix())
	keys, err := auth.OpenKeyring(t.Context(), w.c, "", time.Now)
	w.must(err)
	for _, id := range []string{"org_123", "org_456"} {
		_, err := w.c.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5})
		w.must(err)
	}
	_, w.key, err = w.c.CreateAPIKey(t.Context(), "org_123", "test")
	w.must(err)
	w.load("org_123", file(t, "sample.ndjson"))
	w.store.Put(audioKey, []byte("0123456789"))
	w.deps = exports.Deps{Catalog: w.c, Recordings: w.store, Sealer: keys, Log: zap.NewNop(), Now: w.clock}
	cfg.PublicURL, cfg.InternalToken = public, internal
	w.mount(cfg)
	return w
}

// mount puts the family behind the router.
func (w *world) mount(cfg exports.Config) {
	w.h = api.New(api.Config{}, api.Deps{Families: []api.Family{exports.New(cfg, w.deps)}, Log: zap.NewNop(), Now: time.Now})
}

func (w *world) clock() time.Time { return time.Unix(w.now.Load(), 0) }

func (w *world) pass(d time.Duration) { w.now.Add(int64(d / time.Second)) }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// load takes lines in.
func (w *world) load(tenant string, lines []byte) {
	w.Helper()
	_, err := ingest.Load(w.Context(), w.c, tenant, bytes.NewReader(lines), nil)
	w.must(err)
}

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(w *world)) {
	t.Helper()
	for name, open := range apitest.Databases() {
		t.Run(name, func(t *testing.T) { test(newWorld(t, open(t), exports.Config{})) })
	}
}

// ask posts a body; headers are names and values in turn.
func (w *world) ask(path, kind, body string, headers ...string) apitest.Answer {
	w.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return w.spec.Do(w, w.h, r)
}

// export asks for a conversation of org_123 and wants it; more is JSON behind the id.
func (w *world) export(id, more string) document {
	w.Helper()
	a := w.ask(jsonPath, "application/json", `{"conversationId":`+string(quoted(id))+more+`}`, "x-api-key", w.key)
	if a.Status != http.StatusOK {
		w.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	return read(w, a.Body)
}

// want fails the test when an answer is not this error.
func (w *world) want(a apitest.Answer, status int, detail string) {
	w.Helper()
	var f struct{ Detail string }
	if err := json.Unmarshal(a.Body, &f); err != nil || a.Status != status || f.Detail != detail {
		w.Fatalf("answered %d %s, want %d %q", a.Status, a.Body, status, detail)
	}
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return b
}

// document is what tests look at of an export.
type document struct {
	ExportMetadata struct {
		ExportedAt, OrganizationID, ConversationID string
		IncludedData                               json.RawMessage
	}
	Conversation struct {
		StartTime, EndTime, CreatedAt, UpdatedAt string
		Duration, BaseCost, TotalCost            json.RawMessage
		AgentName                                *string
		User, Agent, FunctionCalls               json.RawMessage
		Transcript                               *struct {
			Raw    string
			Parsed json.RawMessage
			User   json.RawMessage
		}
		PostCallAnalysis *struct{ AnalysisData, AnalyzedAt, User, Agent json.RawMessage }
		Recording        *struct{ ID, FileName, SignedURL, URLExpiry string }
	}
	Summary map[string]any
}

func read(t testing.TB, body []byte) (d document) {
	t.Helper()
	if err := json.Unmarshal(body, &d); err != nil {
		t.Fatalf("%v in %.2000s", err, body)
	}
	return d
}

// faulty is a catalog of which some calls fail.
type faulty struct {
	*catalog.Catalog
	authenticate, export, audit error
}

func (f faulty) AuthenticateAPIKey(ctx context.Context, secret string) (catalog.APIKey, domain.Tenant, error) {
	k, t, err := f.Catalog.AuthenticateAPIKey(ctx, secret)
	return k, t, errors.Join(f.authenticate, err)
}

func (f faulty) Export(ctx context.Context, tenant, id string, transcript bool) (catalog.Export, error) {
	e, err := f.Catalog.Export(ctx, tenant, id, transcript)
	return e, errors.Join(f.export, err)
}

func (f faulty) AppendAudit(ctx context.Context, o catalog.Origin, tenant, action string, detail any) error {
	if f.audit != nil {
		return f.audit
	}
	return f.Catalog.AppendAudit(ctx, o, tenant, action, detail)
}

// file reads one of the test's own files.
func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// broken is the same world with a catalog that holds what must not be there.
func (w *world) broken() *world {
	return w.with(faulty{Catalog: w.c, export: domain.Errorf(domain.KindBadCatalog, "broken")})
}

// with is the same world with another catalog.
func (w *world) with(c exports.Catalog) *world {
	other := *w
	other.deps.Catalog = c
	other.mount(exports.Config{PublicURL: public, InternalToken: internal})
	return &other
}

// request is one without a body; what it has no credential for it does not get.
func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}
