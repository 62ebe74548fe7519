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
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/conversations"
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

// bucket is a bucket in memory.
type bucket struct {
	apitest.Store
	kind string
}

func (b *bucket) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := b.Store.Stat(ctx, key)
	info.ContentType = b.kind
	return info, err
}

// fixture is the family with its catalog and bucket.
type fixture struct {
	*testing.T
	c     *catalog.Catalog
	store *bucket
	deps  exports.Deps
	h     http.Handler
	spec  *apitest.Spec
	key   string // API key of org_123

	now *atomic.Int64 // Unix seconds
}

// newFixture makes the tenants org_123 and org_456, the first with the sample's data.
func newFixture(t *testing.T, url string, cfg exports.Config) *fixture {
	t.Helper()
	f := &fixture{T: t, c: catalogtest.Open(t, url), store: &bucket{kind: "video/webm"}, spec: apitest.LoadSpec(t, "openapi.yaml"), now: new(atomic.Int64)}
	at, err := time.Parse(time.RFC3339, sampleAt)
	f.must(err)
	f.now.Store(at.Unix())
	keys, err := auth.OpenKeyring(t.Context(), f.c, "", time.Now)
	f.must(err)
	for _, id := range []string{"org_123", "org_456"} {
		_, err := f.c.CreateTenant(t.Context(), domain.Tenant{ID: id, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{Actor: apitest.FixtureActor})
		f.must(err)
	}
	_, f.key, err = f.c.CreateAPIKey(t.Context(), "org_123", "test", audit.Origin{Actor: apitest.FixtureActor})
	f.must(err)
	f.load("org_123", file(t, "sample.ndjson"))
	f.store.Put(audioKey, []byte("0123456789"))
	f.deps = exports.Deps{Internal: internalToken(), Catalog: f.c, Conversations: conversations.New(f.c.DB()), Recordings: f.store, Signer: keys, Log: zap.NewNop(), Now: f.clock}
	cfg.PublicURL = public
	f.mount(cfg)
	return f
}

func internalToken() *web.SharedToken {
	return web.NewSharedToken("CALLVAULT_INTERNAL_TOKEN", internal, zap.NewNop(), time.Now)
}

// mount puts the family behind the router.
func (f *fixture) mount(cfg exports.Config) {
	f.h = api.New(api.Config{}, api.Deps{Families: []api.Family{exports.New(cfg, f.deps)}, Log: zap.NewNop(), Now: time.Now})
}

func (f *fixture) clock() time.Time { return time.Unix(f.now.Load(), 0) }

func (f *fixture) pass(d time.Duration) { f.now.Add(int64(d / time.Second)) }

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// load ingests lines.
func (f *fixture) load(tenant string, lines []byte) {
	f.Helper()
	_, err := ingest.Load(f.Context(), f.c, tenant, bytes.NewReader(lines), nil)
	f.must(err)
}

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(f *fixture)) {
	t.Helper()
	for name, open := range apitest.Databases() {
		t.Run(name, func(t *testing.T) { test(newFixture(t, open(t), exports.Config{})) })
	}
}

// ask posts a body; headers are names and values in turn.
func (f *fixture) ask(path, kind, body string, headers ...string) apitest.Answer {
	f.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return f.spec.Do(f, f.h, r)
}

// export exports a conversation of org_123; more is JSON behind the id.
func (f *fixture) export(id, more string) document {
	f.Helper()
	a := f.ask(jsonPath, "application/json", `{"conversationId":`+string(quoted(id))+more+`}`, "x-api-key", f.key)
	if a.Status != http.StatusOK {
		f.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	return read(f, a.Body)
}

// want fails the test unless the answer is this error.
func (f *fixture) want(a apitest.Answer, status int, detail string) {
	f.Helper()
	var got struct{ Detail string }
	if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != status || got.Detail != detail {
		f.Fatalf("answered %d %s, want %d %q", a.Status, a.Body, status, detail)
	}
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return b
}

// document is the fields of an export that tests check.
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
	*conversations.Reader
	authenticate, export, audit error
}

func (f faulty) AuthenticateAPIKey(ctx context.Context, secret string) (catalog.Credential, domain.Tenant, error) {
	k, t, err := f.Catalog.AuthenticateAPIKey(ctx, secret)
	return k, t, errors.Join(f.authenticate, err)
}

func (f faulty) Export(ctx context.Context, tenant, id string, transcript bool) (conversations.Export, error) {
	e, err := f.Reader.Export(ctx, tenant, id, transcript)
	return e, errors.Join(f.export, err)
}

func (f faulty) AppendAudit(ctx context.Context, o audit.Origin, tenant, action string, detail any) error {
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

// broken is the same fixture with a catalog that holds damaged data.
func (f *fixture) broken() *fixture {
	return f.with(faulty{Catalog: f.c, Reader: conversations.New(f.c.DB()), export: domain.Errorf(domain.KindBadCatalog, "broken")})
}

// with is the same fixture with another catalog.
func (f *fixture) with(c faulty) *fixture {
	other := *f
	other.deps.Catalog, other.deps.Conversations = c, c
	other.mount(exports.Config{PublicURL: public})
	return &other
}

// request makes a request without a body.
func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}
