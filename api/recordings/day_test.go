package recordings_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
)

// The texts, written out again: they are what clients compare with.
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

// TestOrderOfChecks makes everything wrong at once and repairs it from the front.
func TestOrderOfChecks(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set(func(t *domain.Tenant) { t.Recordings, t.DayLimit = false, 1 })
		future := string(domain.DayOf(b.now()).Add(1))
		old := string(b.day.Add(-30))
		without := "Bearer " + b.issue(b.app, "other")
		with := "Bearer " + b.token

		a := b.ask("GET", dayURL+"2025-1-2")
		b.want(a, 401, textUnauthorized)
		b.header(a, "WWW-Authenticate", "Bearer")
		a = b.ask("GET", dayURL+"2025-1-2", "Authorization", "Bearer nonsense")
		b.want(a, 401, textUnauthorized)
		b.header(a, "WWW-Authenticate", `Bearer error="invalid_token"`)
		b.header(a, "X-RateLimit-Limit", "")
		a = b.ask("GET", dayURL+"2025-1-2", "Authorization", without)
		b.want(a, 403, textScope)
		if !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			b.Fatal(a.Header)
		}
		b.want(b.ask("GET", dayURL+"2025-1-2", "Authorization", with), 403, textFeature)

		b.set(func(t *domain.Tenant) { t.Recordings = true })
		for _, wrong := range []string{"2025-02-30", "2025-1-2", "20250102", "2025-01-02T00:00:00Z", "٢٠٢٥-01-02", "0000-01-01", "2025-01-02%00", "x"} {
			b.want(b.ask("GET", dayURL+wrong, "Authorization", with), 400, textFormat)
		}
		b.want(b.ask("GET", dayURL+future, "Authorization", with), 400, textFuture)
		b.want(b.ask("GET", dayURL+old, "Authorization", with), 404, textRetention)
		b.header(b.ask("GET", dayURL+old, "Authorization", with), "X-RateLimit-Remaining", "1") // errors never count

		b.want(b.get(b.day), 200, "")
		b.want(b.ask("GET", dayURL+old, "Authorization", with), 404, textRetention) // before the limit
		a = b.get(b.day)
		b.want(a, 429, textLimit)
		b.header(a, "X-RateLimit-Remaining", "0")
		b.header(a, "Retry-After", a.Header.Get("X-RateLimit-Reset"))
	})
}

func TestToday(t *testing.T) {
	onBoth(t, func(b *bench) {
		a := b.get(domain.DayOf(b.now()))
		b.want(a, 200, "")
		b.header(a, "Cache-Control", "no-store")
		b.header(a, "X-Content-Type-Options", "nosniff")
		if strings.Count(string(a.Body), `"status":"pending"`) != 24 || !strings.Contains(string(a.Body), `"generatedAt":null,"retentionDays":3,"expiresAt":null`) {
			b.Fatalf("%s", a.Body)
		}
	})
}

// TestDayOnTheWire holds the answer to its golden file: every key, its order and its spelling.
func TestDayOnTheWire(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(0, "first")
		b.build(14, "second")
		apitest.Register(b, b.cat, domain.HourKey{Tenant: "acme", Day: b.day, Hour: 14}) // waits for a rebuild
		apitest.Register(b, b.cat, domain.HourKey{Tenant: "acme", Day: b.day, Hour: 20}) // comes late, to an empty hour
		a := b.get(b.day)
		b.want(a, 200, "")
		body := strings.ReplaceAll(string(a.Body), string(b.day), "2025-12-12")
		body = regexp.MustCompile(`token=[A-Za-z0-9_-]+"`).ReplaceAllString(body, `token=…"`)
		body = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(body, "2025-12-13T02:15:32Z")
		apitest.Golden(b, "day.json", []byte(strings.ReplaceAll(body, "},{", "},\n{")))
	})
}

func TestGeneratedAtIsFixed(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(3, "a")
		first := b.issued(b.day)
		if first.GeneratedAt == nil || first.ExpiresAt == nil {
			b.Fatal("a complete day has no generatedAt")
		}
		generated, err := time.Parse(time.RFC3339, *first.GeneratedAt)
		b.must(err)
		if want := generated.Add(72 * time.Hour).Format(time.RFC3339); *first.ExpiresAt != want {
			b.Fatalf("expiresAt %s, want %s", *first.ExpiresAt, want)
		}
		b.pass(time.Hour)
		b.build(3, "ab")
		second := b.issued(b.day)
		if *second.GeneratedAt != *first.GeneratedAt || second.Links[3].Revision != 2 || second.TotalSizeBytes != 2 {
			b.Fatalf("%+v", second)
		}
	})
}

// TestWindowSlides walks over the edges of the hour.
func TestWindowSlides(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set(func(t *domain.Tenant) { t.RetentionDays = 30 })
		b.want(b.get(b.day), 200, "")
		b.pass(30 * time.Minute)
		for range 4 {
			b.want(b.get(b.day), 200, "")
		}
		b.pass(29 * time.Minute)
		refused := b.get(b.day)
		b.want(refused, 429, textLimit)
		for range 10 { // a refused request never extends the wait
			b.want(b.get(b.day), 429, textLimit)
		}
		b.pass(61 * time.Second) // the first one falls out
		b.want(b.get(b.day), 200, "")
		b.want(b.get(b.day), 429, textLimit)
		b.pass(30 * time.Minute) // and its four successors
		for i := range 4 {
			a := b.get(b.day)
			b.want(a, 200, "")
			b.header(a, "X-RateLimit-Remaining", string(rune('3'-i)))
		}
		b.want(b.get(b.day), 429, textLimit)
	})
}

func TestHeadNeverCounts(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(1, "zip")
		for range 10 {
			a := b.ask("HEAD", dayURL+string(b.day), "Authorization", "Bearer "+b.token)
			b.want(a, 200, "")
			b.header(a, "X-RateLimit-Remaining", "5")
			b.header(a, "X-RateLimit-Reset", "0")
		}
		link := b.link(1)
		for range 10 {
			a := b.ask("HEAD", link, "Range", "bytes=1-") // which a HEAD does not have
			b.want(a, 200, "")
			b.header(a, "Content-Length", "3")
			b.header(a, "Content-Type", "application/zip")
			b.header(a, "X-RateLimit-Remaining", "5")
		}
	})
}

func TestRetentionChange(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(1, "zip")
		link := b.link(1)
		b.pass(49 * time.Hour)
		b.want(b.get(b.day), 200, "")
		b.set(func(t *domain.Tenant) { t.RetentionDays = 1 })
		b.want(b.get(b.day), 404, textRetention)
		b.want(b.ask("GET", link), 401, textLinkExpired) // its own life ended before
		b.set(func(t *domain.Tenant) { t.RetentionDays = 30 })
		b.want(b.get(b.day), 404, textRetention) // an expired day does not come back
	})
}

func TestDisabledApplication(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.want(b.get(b.day), 200, "")
		b.must(b.cat.DisableApplication(b.Context(), b.app.ID, true))
		b.want(b.get(b.day), 401, textUnauthorized)
		b.must(b.cat.DisableApplication(b.Context(), b.app.ID, false))
		b.want(b.get(b.day), 401, textUnauthorized) // what was ended stays ended
		app, err := b.cat.Application(b.Context(), b.app.ID)
		b.must(err)
		b.token = b.issue(app, auth.ScopeDataService)
		b.want(b.get(b.day), 200, "")
		b.must(b.cat.DeleteApplication(b.Context(), b.app.ID))
		b.want(b.get(b.day), 401, textUnauthorized)
	})
}

func TestTenantsAreApart(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.build(1, "zip")
		b.tenant("other")
		app, _, err := b.cat.CreateApplication(b.Context(), "other", "tests", []string{auth.ScopeDataService})
		b.must(err)
		a := b.ask("GET", dayURL+string(b.day), "Authorization", "bearer "+b.issue(app, auth.ScopeDataService))
		b.want(a, 200, "")
		if strings.Contains(string(a.Body), "available") {
			b.Fatalf("another tenant's day: %s", a.Body)
		}
	})
}

func TestOwnErrors(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	a := b.ask("POST", dayURL+string(b.day))
	b.want(a, 405, "Method not allowed.")
	b.header(a, "Allow", "GET, HEAD")
	a = b.ask("PROPFIND2", dayURL+string(b.day)) // unknown to every router
	b.want(a, 405, "Method not allowed.")
	b.header(a, "Allow", "GET, HEAD")
	r, err := http.NewRequest("PROPFIND2", dayURL, nil)
	b.must(err)
	b.want(apitest.Do(b.handler, r), 404, "Not found.")
	for _, path := range []string{dayURL, "/api/external/", "/api/external", dayURL + string(b.day) + "/", dayURL + string(b.day) + "/01"} {
		r, err := http.NewRequest("GET", path, nil)
		b.must(err)
		b.want(apitest.Do(b.handler, r), 404, "Not found.")
	}
}

func TestCatalogDown(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	c := apitest.Open(t, b.url)
	b.handler = b.replica(c)
	b.must(c.Close())
	a := b.get(b.day)
	b.want(a, 503, "The service is temporarily unavailable. Please try again later.")
	b.header(a, "Retry-After", "5")
}
