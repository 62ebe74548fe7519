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
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	publicURL = "https://vault.test"
	dayURL    = "/api/external/conversations/daily-audio-recordings/"
)

// bench is one replica of the family over a catalog, with a tenant, its application and its
// yesterday.
type bench struct {
	*testing.T
	url       string
	cat       *catalog.Catalog
	keys      *auth.Keyring
	tokens    *auth.Tokens
	store     *apitest.Archives
	downloads *web.DownloadLimiter
	objects   recordings.Store // store, unless a test puts another in its place
	cfg       recordings.Config
	spec      *apitest.Spec
	app       catalog.Application
	token     string
	day       domain.Day
	handler   http.Handler
	shifted   time.Duration
}

func newBench(t *testing.T, url string) *bench {
	b := &bench{T: t, url: url, cat: apitest.Open(t, url), store: &apitest.Archives{}, spec: apitest.LoadSpec(t, "openapi.yaml"),
		cfg: recordings.Config{PublicURL: publicURL + "/", LinkTTL: 6 * time.Hour}}
	b.objects = b.store
	b.tenant("acme")
	var err error
	b.app, _, err = b.cat.CreateApplication(t.Context(), "acme", "tests", []string{auth.ScopeDataService})
	b.must(err)
	b.handler = b.replica(b.cat)
	b.token = b.issue(b.app, auth.ScopeDataService)
	b.day = domain.DayOf(b.now()).Add(-1)
	return b
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(*bench)) {
	for name, open := range apitest.Databases() {
		t.Run(name, func(t *testing.T) { test(newBench(t, open(t))) })
	}
}

// replica makes the handler of one more process on a catalog.
func (b *bench) replica(c *catalog.Catalog) http.Handler {
	b.Helper()
	keys, err := auth.OpenKeyring(b.Context(), c, "", time.Now)
	b.must(err)
	tokens := auth.NewTokens(auth.Config{Issuer: publicURL}, keys, c, time.Now)
	if b.tokens == nil {
		b.keys, b.tokens = keys, tokens
	}
	family := recordings.New(b.cfg, recordings.Deps{Catalog: c, Tokens: tokens, Links: keys, Store: b.objects, Downloads: b.downloads, Log: zap.NewNop()})
	return api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now})
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) tenant(id string) {
	b.Helper()
	_, err := b.cat.CreateTenant(b.Context(), domain.Tenant{ID: id, Name: id, Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5})
	b.must(err)
}

func (b *bench) set(change func(*domain.Tenant)) {
	b.Helper()
	_, err := b.cat.SetTenant(b.Context(), "acme", change)
	b.must(err)
}

func (b *bench) issue(app catalog.Application, scopes ...string) string {
	b.Helper()
	token, _, err := b.tokens.Issue(context.Background(), app, scopes)
	b.must(err)
	return token
}

func (b *bench) now() time.Time {
	b.Helper()
	at, err := b.cat.Now(b.Context())
	b.must(err)
	return at
}

// pass moves the catalog's clock.
func (b *bench) pass(d time.Duration) {
	b.Helper()
	b.shifted += d
	b.must(b.cat.ShiftClock(b.Context(), b.shifted))
}

func (b *bench) build(hour int, data string) string {
	b.Helper()
	return apitest.Build(b, b.cat, b.store, domain.HourKey{Tenant: "acme", Day: b.day, Hour: hour}, []byte(data))
}

// ask sends a request; headers come in pairs.
func (b *bench) ask(method, target string, headers ...string) apitest.Answer {
	b.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return b.spec.Do(b, b.handler, r)
}

// get asks for a day with the bench's token.
func (b *bench) get(day domain.Day) apitest.Answer {
	b.Helper()
	return b.ask(http.MethodGet, dayURL+string(day), "Authorization", "Bearer "+b.token)
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

// issued asks for a day that must be answered.
func (b *bench) issued(day domain.Day) dayBody {
	b.Helper()
	a := b.get(day)
	if a.Status != http.StatusOK {
		b.Fatalf("day: %d %s", a.Status, a.Body)
	}
	var body dayBody
	b.must(json.Unmarshal(a.Body, &body))
	return body
}

// link gives an hour's link without the public URL.
func (b *bench) link(hour int) string {
	b.Helper()
	l := b.issued(b.day).Links[hour]
	if l.URL == nil {
		b.Fatalf("hour %d is %s", hour, l.Status)
	}
	return (*l.URL)[len(publicURL):]
}

// want fails unless the answer has the status and, where text is not empty, says it.
func (b *bench) want(a apitest.Answer, status int, text string) {
	b.Helper()
	if a.Status != status {
		b.Fatalf("got %d %s, want %d %s", a.Status, a.Body, status, text)
	}
	if want := `{"error":"` + text + `"}` + "\n"; text != "" && string(a.Body) != want {
		b.Fatalf("got %d %s, want %s", a.Status, a.Body, want)
	}
}

// header fails unless the answer's header has the value.
func (b *bench) header(a apitest.Answer, name, value string) {
	b.Helper()
	if got := a.Header.Get(name); got != value {
		b.Fatalf("%s is %q, want %q", name, got, value)
	}
}
