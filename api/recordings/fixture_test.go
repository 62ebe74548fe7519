package recordings_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/api/recordings"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	publicURL = "https://vault.test"
	dayURL    = "/api/external/conversations/daily-audio-recordings/"
)

// fixture is one replica of the family over a catalog with a tenant and an application. day is the
// catalog's yesterday.
type fixture struct {
	*testing.T
	url       string
	cat       *catalog.Catalog
	keys      *auth.Keyring
	tokens    *auth.Tokens
	store     *apitest.Store
	downloads *web.DownloadLimiter
	objects   objects // store, unless a test puts another in its place
	redirect  bool    // to URLs of objects
	cfg       recordings.Config
	spec      *apitest.Spec
	app       catalog.Application
	token     string
	day       domain.Day
	handler   http.Handler
	shifted   time.Duration
}

// objects is a bucket in S3.
type objects interface {
	web.Versions
	web.Presigner
}

func newFixture(t *testing.T, url string) *fixture {
	f := &fixture{T: t, url: url, cat: catalogtest.Open(t, url), store: &apitest.Store{}, spec: apitest.LoadSpec(t, "openapi.yaml"),
		cfg: recordings.Config{PublicURL: publicURL + "/", LinkTTL: 6 * time.Hour}}
	f.objects = f.store
	f.tenant("acme")
	var err error
	f.app, _, err = f.cat.CreateApplication(t.Context(), "acme", "tests", []string{auth.ScopeDataService}, audit.Origin{})
	f.must(err)
	f.handler = f.replica(f.cat)
	f.token = f.issue(f.app, auth.ScopeDataService)
	f.day = domain.DayOf(f.now()).Add(-1)
	return f
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(*fixture)) {
	for name, open := range apitest.Databases() {
		t.Run(name, func(t *testing.T) { test(newFixture(t, open(t))) })
	}
}

// replica makes the handler of another process over a catalog.
func (f *fixture) replica(c *catalog.Catalog) http.Handler {
	f.Helper()
	keys, err := auth.OpenKeyring(f.Context(), c, "", time.Now)
	f.must(err)
	tokens := auth.NewTokens(auth.Config{Issuer: publicURL}, keys, c, time.Now)
	if f.tokens == nil {
		f.keys, f.tokens = keys, tokens
	}
	proofs := func(ctx context.Context, leaf merkle.Key) ([]byte, error) {
		return evidence.Prove(ctx, c.Merkle(), leaf)
	}
	deps := recordings.Deps{Catalog: c, Tokens: tokens, Links: keys, Proofs: proofs, Store: f.objects, Downloads: f.downloads, Log: zap.NewNop()}
	if f.redirect {
		deps.Presigner = f.objects
	}
	family := recordings.New(f.cfg, deps)
	return api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now})
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) tenant(id string) {
	f.Helper()
	_, err := f.cat.CreateTenant(f.Context(), domain.Tenant{ID: id, Name: id, Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
	f.must(err)
}

func (f *fixture) set(change func(*domain.Tenant)) {
	f.Helper()
	_, err := f.cat.SetTenant(f.Context(), "acme", change, audit.Origin{})
	f.must(err)
}

func (f *fixture) issue(app catalog.Application, scopes ...string) string {
	f.Helper()
	token, _, err := f.tokens.Issue(context.Background(), app, scopes)
	f.must(err)
	return token
}

func (f *fixture) now() time.Time {
	f.Helper()
	at, err := f.cat.Now(f.Context())
	f.must(err)
	return at
}

// pass moves the catalog's clock forward.
func (f *fixture) pass(d time.Duration) {
	f.Helper()
	f.shifted += d
	f.must(catalogtest.ShiftClock(f.Context(), f.cat, f.shifted))
}

func (f *fixture) build(hour int, data string) string {
	f.Helper()
	return apitest.BuildHour(f, f.cat, f.store, domain.HourKey{Tenant: "acme", Day: f.day, Hour: hour}, []byte(data))
}

// ask sends a request. headers are names and values in turn.
func (f *fixture) ask(method, target string, headers ...string) apitest.Answer {
	f.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return f.spec.Do(f, f.handler, r)
}

// get requests a day with the fixture's token.
func (f *fixture) get(day domain.Day) apitest.Answer {
	f.Helper()
	return f.ask(http.MethodGet, dayURL+string(day), "Authorization", "Bearer "+f.token)
}

type dayBody struct {
	TotalSessions, TotalFiles, TotalSizeBytes int64
	GeneratedAt, ExpiresAt                    *string
	Links                                     []struct {
		Hour, Status              string
		URL, URLExpiresAt         *string
		SizeBytes, Revision       int64
		FileCount                 int
		Rebuilding                bool
		ManifestSHA256            *string
		SessionCount, MissingFile int
	}
}

// issued requests a day and wants 200.
func (f *fixture) issued(day domain.Day) dayBody {
	f.Helper()
	a := f.get(day)
	if a.Status != http.StatusOK {
		f.Fatalf("day: %d %s", a.Status, a.Body)
	}
	var body dayBody
	f.must(json.Unmarshal(a.Body, &body))
	return body
}

// link gives an hour's link without the public URL.
func (f *fixture) link(hour int) string {
	f.Helper()
	l := f.issued(f.day).Links[hour]
	if l.URL == nil {
		f.Fatalf("hour %d is %s", hour, l.Status)
	}
	return (*l.URL)[len(publicURL):]
}

// want fails the test unless the answer has the status and, when text is not empty, that text.
func (f *fixture) want(a apitest.Answer, status int, text string) {
	f.Helper()
	if a.Status != status {
		f.Fatalf("got %d %s, want %d %s", a.Status, a.Body, status, text)
	}
	if want := `{"error":"` + text + `"}` + "\n"; text != "" && string(a.Body) != want {
		f.Fatalf("got %d %s, want %s", a.Status, a.Body, want)
	}
}

// header fails the test unless the answer's header has the value.
func (f *fixture) header(a apitest.Answer, name, value string) {
	f.Helper()
	if got := a.Header.Get(name); got != value {
		f.Fatalf("%s is %q, want %q", name, got, value)
	}
}
