package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// fillMonth gives the tenants a month with days and hours in every state.
func fillMonth(f *fixture) {
	f.Helper()
	for i, id := range []string{"blueline", "cedar_clinic", "delta-taxi", "evergreen", "fjord-bank", "granite", "harbor", "iris"} {
		f.tenant(id, []string{"Blue Line Support", "Cedar Clinic", "", "Evergreen Energy", "Fjord Bank", "Granite Insurance", "Harbor Hotels", "Iris Optics"}[i])
		for back := range 1 + (i*7)%13 {
			f.plan(id, f.day.Add(-back))
		}
	}
	for back := range 12 {
		f.plan("acme", f.day.Add(-back))
	}
	for hour := 7; hour < 19; hour++ {
		f.build(f.key("acme", f.day, hour), 40_000+hour*31_000)
	}
	f.build(f.key("acme", f.day, 9), 400_000) // another revision
	f.fail(f.key("acme", f.day, 20), "the object store refused part 3: the disk is full")
	f.claim(f.key("acme", f.day, 21))
	apitest.Register(f, f.catalog, f.key("acme", f.day, 10))
	f.buildMissing(f.key("acme", f.day.Add(-1), 8), 3)
	f.buildMissing(f.key("acme", f.day.Add(-2), 8), 1)
	for _, back := range []int{2, 3} { // two hours of each day wait for another revision
		for hour := 8; hour < 10; hour++ {
			if hour == 9 || back == 3 {
				f.build(f.key("acme", f.day.Add(-back), hour), 9000)
			}
			apitest.Register(f, f.catalog, f.key("acme", f.day.Add(-back), hour))
		}
	}
	f.fail(f.key("fjord-bank", f.day.Add(-2), 5), "every source of this hour has vanished")
	apitest.Register(f, f.catalog, f.key("blueline", f.day.Add(-1), 5))
	if _, err := f.catalog.IssueDay(f.Context(), catalog.DayRequest{TokenClaims: catalog.TokenClaims{Tenant: "acme", Scopes: []string{"days"}}, Scope: "days", Day: f.day, LinkTTL: time.Hour,
		Origin: audit.Origin{Actor: "app:app_billing", Remote: "203.0.113.7"}}); err != nil {
		f.Fatal(err)
	}
	v, err := f.catalog.Day(f.Context(), "acme", f.day)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.catalog.BeginDownload(f.Context(), catalog.Download{HourKey: f.key("acme", f.day, 9), Token: v.Hours[9].Archive.Token,
		Revision: 2, Object: v.Hours[9].Archive.ObjectKey, Until: v.RetentionEnd, Origin: audit.Origin{Actor: "link", Remote: "203.0.113.7"}}); err != nil {
		f.Fatal(err)
	}
}

// TestInABrowser signs in, finds a failed hour and has it built again.
func TestInABrowser(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	fillMonth(f)
	b := newTab(f)
	day := "/admin/tenants/acme/days/" + string(f.day)
	b.look(1280, 860, false, "light")

	b.do(chromedp.Navigate(b.url + day))
	b.shows("Sign in")
	b.picture("signin")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"))
	b.follow("button.primary")
	b.shows("That is not the admin token")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), adminToken))
	b.follow("button.primary")
	b.shows("Hours, UTC", "21 of 24", "1 hour failed", "being built", "being rebuilt", "1 download") // the page that the operator asked for before signing in
	b.picture("day")

	b.do(chromedp.Navigate(b.url + "/admin"))
	b.shows("acme", "iris", "21/24", "24/24")
	for back, want := range []string{"✕↻ incomplete: 1 hour failed, 1 hour pending, 1 hour being rebuilt", "◐! incomplete: 3 recordings missing",
		"◐!↻ incomplete: 1 recording missing, 2 hours being rebuilt", "◐↻ incomplete: 2 hours being rebuilt", "✓ complete"} {
		cell := fmt.Sprintf(`document.querySelector('td a[href="%s/days/%s"]')`, "/admin/tenants/acme", f.day.Add(-back))
		got := read(b, chromedp.Evaluate[string](cell+`.querySelector(".signs").textContent + " " + `+cell+`.title`))
		if got != want {
			t.Errorf("the cell of %d days ago shows %q, want %q", back+1, got, want)
		}
		b.shows("acme " + string(f.day.Add(-back)) + ", " + strings.SplitN(want, " ", 2)[1]) // the text for screen readers
	}
	b.picture("calendar")

	b.do(chromedp.Navigate(b.url + day + "/hours/20"))
	b.shows("failed", "the disk is full", "given up")
	b.follow(`a[href$="/rebuild"]`)
	b.shows("Rebuild "+string(f.day)+", hour 20 of acme?", "audit log")
	b.picture("confirm")
	b.follow("button.primary")
	b.shows("1 hour is due now", "rebuild asked for", "pending")
	b.picture("hour")
	if got := f.events("acme")[0]; got != "admin archive" {
		t.Errorf("the audit log's latest is %q", got)
	}
	if _, ok, err := f.catalog.Claim(t.Context(), domain.HourKey{Tenant: "acme", Day: f.day, Hour: 20}, "x"); err != nil || !ok {
		t.Errorf("the hour cannot be claimed: %v, %v", ok, err)
	}

	b.do(chromedp.Navigate(b.url + "/admin/running"))
	b.shows("worker-1/4711", string(f.day)+" 21")
	b.picture("running")
	b.do(chromedp.Navigate(b.url + "/admin/failed"))
	b.shows("fjord-bank", "every source of this hour has vanished")
	b.picture("failed")
	b.do(chromedp.Navigate(b.url + "/admin/tenants/acme"))
	b.shows("daily_audio_recordings", "links issued", "40 days")
	b.picture("tenant")
}

// The page of running builds follows a build without a reload.
func TestLive(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	b := newTab(f)
	b.signIn()
	b.do(chromedp.Navigate(b.url + "/admin/running"))
	b.shows("Nothing is being built")
	f.plan("acme", f.day)
	f.claim(f.key("acme", f.day, 3))
	b.do(chromedp.WaitVisible(chromedp.CSS(`a[href$="/hours/03"]`)))
	b.shows("worker-1/4711")
}

// TestDarkAndPhone shows the pages in the dark scheme and on a phone. None may scroll sideways, and
// there only the calendar does.
func TestDarkAndPhone(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	fillMonth(f)
	b := newTab(f)
	b.signIn()
	day := "/admin/tenants/acme/days/" + string(f.day)
	background := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		for name, path := range map[string]string{"calendar": "/admin", "day": day, "hour": day + "/hours/09", "tenant": "/admin/tenants/acme",
			"confirm": day + "/rebuild", "running": "/admin/running", "failed": "/admin/failed"} {
			b.look(390, 844, true, scheme)
			b.do(chromedp.Navigate(b.url + path))
			b.fits()
			if read(b, chromedp.Evaluate[bool](`[...document.querySelectorAll(".scroll:not(.grid)")].some((list) => list.scrollWidth > list.clientWidth)`)) {
				t.Errorf("on a phone a list of %s scrolls sideways", path)
			}
			b.picture("phone-" + scheme + "-" + name)
			b.look(1280, 860, false, scheme)
			b.fits()
			b.picture("desk-" + scheme + "-" + name)
		}
		background[scheme] = read(b, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
	}
	if background["light"] == background["dark"] {
		t.Errorf("the pages look alike by day and by night: %v", background)
	}
}

// TestNewSecretOnAPhone makes a webhook's new secret on a phone, which is narrower than the secret.
func TestNewSecretOnAPhone(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	f.withWebhooks(admin.Config{Token: adminToken})
	id := f.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/`+strings.Repeat("x", 80)+`"}`, 201)["id"].(string)
	b := newTab(f)
	b.signIn()
	b.look(390, 844, true, "light")
	b.do(chromedp.Navigate(b.url + "/admin/tenants/acme"))
	b.fits()
	b.follow(`a[href$="/` + id + `/rotate"]`)
	b.shows(id, "hooks.example.com")
	b.fits()
	b.picture("phone-rotate")
	b.follow("button.primary")
	b.shows("whsec_")
	b.fits()
	b.picture("phone-secret")
}

// TestKeyboard uses the calendar without a mouse.
func TestKeyboard(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	f.plan("acme", f.day)
	b := newTab(f)
	b.signIn()
	focused := func() string {
		return read(b, chromedp.Evaluate[string](`document.activeElement.getAttribute("href") || ""`))
	}
	press := func(key string) { b.do(chromedp.KeyEvent(key)) }
	press("\t")
	if got := focused(); got != "#main" {
		t.Fatalf("the first stop is %q, not the way past the menu", got)
	}
	tenant := "/admin/tenants/acme"
	for range 30 {
		if focused() == tenant {
			break
		}
		press("\t")
	}
	outline := read(b, chromedp.Evaluate[string](`getComputedStyle(document.activeElement).outlineStyle`))
	if got := focused(); got != tenant || outline == "none" {
		t.Fatalf("after thirty stops at %q, outlined %q; want %s, visibly", got, outline, tenant)
	}
	press(kb.ArrowRight)
	press(kb.ArrowRight)
	want := fmt.Sprintf("%s/days/%s", tenant, f.day.Add(-1))
	if got := focused(); got != want {
		t.Fatalf("two to the right is %q, want %q", got, want)
	}
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent("\r")); err != nil {
		t.Fatal(err)
	}
	b.shows(string(f.day.Add(-1)))
}

// TestQueuesInABrowser opens the queue dashboard with its Content-Security-Policy.
func TestQueuesInABrowser(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	if _, err := f.queue.Epoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.queue.Enqueue(t.Context(), f.key("acme", f.day, 1), 1); err != nil {
		t.Fatal(err)
	}
	b := newTab(f)
	b.look(1280, 860, false, "light")
	b.signIn()
	b.do(chromedp.Navigate(b.url+"/admin/queues"), chromedp.WaitVisible(chromedp.CSS(`a[href="/admin/queues/queues/build"]`)))
	b.picture("queues")
}
