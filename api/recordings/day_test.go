package recordings_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
)

// The texts are repeated here, because clients compare answers with them.
const (
	textUnauthorized = "Unauthorized access. The provided token is invalid or has expired. Please authenticate again."
	textScope        = "The access token lacks the dataservice_external scope."
	textFeature      = "The daily conversation audio recordings feature is not enabled for this tenant. Please contact your administrator."
	textFormat       = "Invalid date format for 'utcDay'. Please use the format YYYY-MM-DD."
	textFuture       = "'utcDay' cannot be in the future. Please provide a past date."
	textRetention    = "The requested date is older than the allowed retention period and cannot be retrieved."
	textLimit        = "Download limit exceeded. Please try again later."
	textLinkExpired  = "The download link has expired. Please request a new presigned URL to access the audio files."
)

// TestOrderOfChecks sends a request that fails every check and repairs one check after the other.
func TestOrderOfChecks(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set(func(t *domain.Tenant) { t.Recordings, t.DayLimit = false, 1 })
		future := string(domain.DayOf(f.now()).Add(1))
		old := string(f.day.Add(-30))
		without := "Bearer " + f.issue(f.app, "other")
		with := "Bearer " + f.token

		a := f.ask("GET", dayURL+"2025-1-2")
		f.want(a, 401, textUnauthorized)
		f.header(a, "WWW-Authenticate", "Bearer")
		a = f.ask("GET", dayURL+"2025-1-2", "Authorization", "Bearer nonsense")
		f.want(a, 401, textUnauthorized)
		f.header(a, "WWW-Authenticate", `Bearer error="invalid_token"`)
		f.header(a, "X-RateLimit-Limit", "")
		a = f.ask("GET", dayURL+"2025-1-2", "Authorization", without)
		f.want(a, 403, textScope)
		if !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			f.Fatal(a.Header)
		}
		f.want(f.ask("GET", dayURL+"2025-1-2", "Authorization", with), 403, textFeature)

		f.set(func(t *domain.Tenant) { t.Recordings = true })
		for _, wrong := range []string{"2025-02-30", "2025-1-2", "20250102", "2025-01-02T00:00:00Z", "٢٠٢٥-01-02", "0000-01-01", "2025-01-02%00", "x"} {
			f.want(f.ask("GET", dayURL+wrong, "Authorization", with), 400, textFormat)
		}
		f.want(f.ask("GET", dayURL+future, "Authorization", with), 400, textFuture)
		f.want(f.ask("GET", dayURL+old, "Authorization", with), 404, textRetention)
		f.header(f.ask("GET", dayURL+old, "Authorization", with), "X-RateLimit-Remaining", "1") // an error is not counted

		f.want(f.get(f.day), 200, "")
		f.want(f.ask("GET", dayURL+old, "Authorization", with), 404, textRetention) // is checked before the limit
		a = f.get(f.day)
		f.want(a, 429, textLimit)
		f.header(a, "X-RateLimit-Remaining", "0")
		f.header(a, "Retry-After", a.Header.Get("X-RateLimit-Reset"))
	})
}

func TestToday(t *testing.T) {
	onBoth(t, func(f *fixture) {
		a := f.get(domain.DayOf(f.now()))
		f.want(a, 200, "")
		f.header(a, "Cache-Control", "no-store")
		f.header(a, "X-Content-Type-Options", "nosniff")
		if strings.Count(string(a.Body), `"status":"pending"`) != 24 || !strings.Contains(string(a.Body), `"generatedAt":null,"retentionDays":3,"expiresAt":null`) {
			f.Fatalf("%s", a.Body)
		}
	})
}

// TestDayOnTheWire compares the answer with its golden file, byte for byte.
func TestDayOnTheWire(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(0, "first")
		f.build(14, "second")
		apitest.Register(f, f.cat, domain.HourKey{Tenant: "acme", Day: f.day, Hour: 14}) // so the hour waits for a rebuild
		apitest.Register(f, f.cat, domain.HourKey{Tenant: "acme", Day: f.day, Hour: 20}) // a late recording of an empty hour
		a := f.get(f.day)
		f.want(a, 200, "")
		body := strings.ReplaceAll(string(a.Body), string(f.day), "2025-12-12")
		body = regexp.MustCompile(`token=[A-Za-z0-9_-]+"`).ReplaceAllString(body, `token=…"`)
		body = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(body, "2025-12-13T02:15:32Z")
		apitest.Golden(f, "day.json", []byte(strings.ReplaceAll(body, "},{", "},\n{")))
	})
}

func TestGeneratedAtIsFixed(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(3, "a")
		first := f.issued(f.day)
		if first.GeneratedAt == nil || first.ExpiresAt == nil {
			f.Fatal("a complete day has no generatedAt")
		}
		generated, err := time.Parse(time.RFC3339, *first.GeneratedAt)
		f.must(err)
		if want := generated.Add(72 * time.Hour).Format(time.RFC3339); *first.ExpiresAt != want {
			f.Fatalf("expiresAt %s, want %s", *first.ExpiresAt, want)
		}
		f.pass(time.Hour)
		f.build(3, "ab")
		second := f.issued(f.day)
		if *second.GeneratedAt != *first.GeneratedAt || second.Links[3].Revision != 2 || second.TotalSizeBytes != 2 {
			f.Fatalf("%+v", second)
		}
	})
}

// TestWindowSlides tests the edges of the sliding hour.
func TestWindowSlides(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set(func(t *domain.Tenant) { t.RetentionDays = 30 })
		f.want(f.get(f.day), 200, "")
		f.pass(30 * time.Minute)
		for range 4 {
			f.want(f.get(f.day), 200, "")
		}
		f.pass(29 * time.Minute)
		refused := f.get(f.day)
		f.want(refused, 429, textLimit)
		for range 10 { // a refused request never extends the wait
			f.want(f.get(f.day), 429, textLimit)
		}
		f.pass(61 * time.Second) // the first request is no longer counted
		f.want(f.get(f.day), 200, "")
		f.want(f.get(f.day), 429, textLimit)
		f.pass(30 * time.Minute) // nor are the four after it
		for i := range 4 {
			a := f.get(f.day)
			f.want(a, 200, "")
			f.header(a, "X-RateLimit-Remaining", string(rune('3'-i)))
		}
		f.want(f.get(f.day), 429, textLimit)
	})
}

func TestHeadNeverCounts(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(1, "zip")
		for range 10 {
			a := f.ask("HEAD", dayURL+string(f.day), "Authorization", "Bearer "+f.token)
			f.want(a, 200, "")
			f.header(a, "X-RateLimit-Remaining", "5")
			f.header(a, "X-RateLimit-Reset", "0")
		}
		link := f.link(1)
		for range 10 {
			a := f.ask("HEAD", link, "Range", "bytes=1-") // HEAD ignores it
			f.want(a, 200, "")
			f.header(a, "Content-Length", "3")
			f.header(a, "Content-Type", "application/zip")
			f.header(a, "X-RateLimit-Remaining", "5")
		}
	})
}

func TestRetentionChange(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(1, "zip")
		link := f.link(1)
		f.pass(49 * time.Hour)
		f.want(f.get(f.day), 200, "")
		f.set(func(t *domain.Tenant) { t.RetentionDays = 1 })
		f.want(f.get(f.day), 404, textRetention)
		f.want(f.ask("GET", link), 401, textLinkExpired) // the link expired before the day did
		f.set(func(t *domain.Tenant) { t.RetentionDays = 30 })
		f.want(f.get(f.day), 404, textRetention) // an expired day does not come back
	})
}

func TestDisabledApplication(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.want(f.get(f.day), 200, "")
		f.must(f.cat.DisableCredential(f.Context(), catalog.CredentialApp, f.app.ID, true, audit.Origin{}))
		f.want(f.get(f.day), 401, textUnauthorized)
		f.must(f.cat.DisableCredential(f.Context(), catalog.CredentialApp, f.app.ID, false, audit.Origin{}))
		f.want(f.get(f.day), 401, textUnauthorized) // a token that was ended does not work again
		app, err := f.cat.Application(f.Context(), f.app.ID)
		f.must(err)
		f.token = f.issue(app, auth.ScopeDataService)
		f.want(f.get(f.day), 200, "")
		f.must(f.cat.DeleteCredential(f.Context(), catalog.CredentialApp, f.app.ID, audit.Origin{}))
		f.want(f.get(f.day), 401, textUnauthorized)
	})
}

func TestTenantsAreApart(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.build(1, "zip")
		f.tenant("other")
		app, _, err := f.cat.CreateApplication(f.Context(), "other", "tests", []string{auth.ScopeDataService}, audit.Origin{})
		f.must(err)
		a := f.ask("GET", dayURL+string(f.day), "Authorization", "bearer "+f.issue(app, auth.ScopeDataService))
		f.want(a, 200, "")
		if strings.Contains(string(a.Body), "available") {
			f.Fatalf("another tenant's day: %s", a.Body)
		}
	})
}

func TestOwnErrors(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	a := f.ask("POST", dayURL+string(f.day))
	f.want(a, 405, "Method not allowed.")
	f.header(a, "Allow", "GET, HEAD")
	a = f.ask("PROPFIND2", dayURL+string(f.day)) // a method that no router knows
	f.want(a, 405, "Method not allowed.")
	f.header(a, "Allow", "GET, HEAD")
	r, err := http.NewRequest("PROPFIND2", dayURL, nil)
	f.must(err)
	f.want(apitest.Do(f.handler, r), 404, "Not found.")
	for _, path := range []string{dayURL, "/api/external/", "/api/external", dayURL + string(f.day) + "/", dayURL + string(f.day) + "/01"} {
		r, err := http.NewRequest("GET", path, nil)
		f.must(err)
		f.want(apitest.Do(f.handler, r), 404, "Not found.")
	}
}

func TestCatalogDown(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	c := catalogtest.Open(t, f.url)
	f.handler = f.replica(c)
	f.must(c.Close())
	a := f.get(f.day)
	f.want(a, 503, "The service is temporarily unavailable. Please try again later.")
	f.header(a, "Retry-After", "5")
}
