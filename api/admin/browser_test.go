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
	"github.com/callvault/callvault/internal/domain"
)

// month gives the tenants a month with something of everything.
func month(w *world) {
	w.Helper()
	for i, id := range []string{"blueline", "cedar_clinic", "delta-taxi", "evergreen", "fjord-bank", "granite", "harbor", "iris"} {
		w.tenant(id, []string{"Blue Line Support", "Cedar Clinic", "", "Evergreen Energy", "Fjord Bank", "Granite Insurance", "Harbor Hotels", "Iris Optics"}[i])
		for back := range 1 + (i*7)%13 {
			w.plan(id, w.day.Add(-back))
		}
	}
	for back := range 12 {
		w.plan("acme", w.day.Add(-back))
	}
	for hour := 7; hour < 19; hour++ {
		w.build(w.key("acme", w.day, hour), 40_000+hour*31_000)
	}
	w.build(w.key("acme", w.day, 9), 400_000) // another revision
	w.fail(w.key("acme", w.day, 20), "the object store refused part 3: the disk is full")
	w.claim(w.key("acme", w.day, 21))
	apitest.Register(w, w.catalog, w.key("acme", w.day, 10))
	w.lack(w.key("acme", w.day.Add(-1), 8), 3)
	w.lack(w.key("acme", w.day.Add(-2), 8), 1)
	for _, back := range []int{2, 3} { // two hours of each wait for another revision
		for hour := 8; hour < 10; hour++ {
			if hour == 9 || back == 3 {
				w.build(w.key("acme", w.day.Add(-back), hour), 9000)
			}
			apitest.Register(w, w.catalog, w.key("acme", w.day.Add(-back), hour))
		}
	}
	w.fail(w.key("fjord-bank", w.day.Add(-2), 5), "every source of this hour has vanished")
	apitest.Register(w, w.catalog, w.key("blueline", w.day.Add(-1), 5))
	if _, err := w.catalog.IssueDay(w.Context(), catalog.DayRequest{Tenant: "acme", Day: w.day, LinkTTL: time.Hour,
		Origin: catalog.Origin{Actor: "app:app_billing", Remote: "203.0.113.7"}}); err != nil {
		w.Fatal(err)
	}
	v, err := w.catalog.Day(w.Context(), "acme", w.day)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.catalog.BeginDownload(w.Context(), catalog.Download{HourKey: w.key("acme", w.day, 9), Token: v.Hours[9].Archive.Token,
		Revision: 2, Object: v.Hours[9].Archive.ObjectKey, Until: v.RetentionEnd, Origin: catalog.Origin{Actor: "link", Remote: "203.0.113.7"}}); err != nil {
		w.Fatal(err)
	}
}

// TestInABrowser is an operator's morning: signs in, finds the failed hour, has it built again.
func TestInABrowser(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	month(w)
	b := newTab(w)
	day := "/admin/tenants/acme/days/" + string(w.day)
	b.look(1280, 860, false, "light")

	b.do(chromedp.Navigate(b.url + day))
	b.shows("Sign in")
	b.picture("signin")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"))
	b.follow("button.primary")
	b.shows("That is not the admin token")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), adminToken))
	b.follow("button.primary")
	b.shows("Hours, UTC", "22 of 24", "1 hour failed", "being built", "rebuilding", "1 download") // where the operator was going
	b.picture("day")

	b.do(chromedp.Navigate(b.url + "/admin"))
	b.shows("acme", "iris", "22/24", "24/24")
	for back, want := range []string{"✕↻ 1 hour failed, 1 hour being rebuilt", "◐! complete but for 3 missing recordings",
		"◐!↻ complete but for 1 missing recording, 2 hours being rebuilt", "◐↻ complete but for 2 hours being rebuilt", "✓ complete"} {
		cell := fmt.Sprintf(`document.querySelector('td a[href="%s/days/%s"]')`, "/admin/tenants/acme", w.day.Add(-back))
		got := read(b, chromedp.Evaluate[string](cell+`.querySelector(".signs").textContent + " " + `+cell+`.title`))
		if got != want {
			t.Errorf("the cell of %d days ago shows %q, want %q", back+1, got, want)
		}
		b.shows("acme, " + strings.SplitN(want, " ", 2)[1]) // what is read out
	}
	b.picture("calendar")

	b.do(chromedp.Navigate(b.url + day + "/hours/20"))
	b.shows("failed", "the disk is full", "given up")
	b.follow(`a[href$="/rebuild"]`)
	b.shows("Rebuild "+string(w.day)+", hour 20 of acme?", "audit log")
	b.picture("confirm")
	b.follow("button.primary")
	b.shows("1 hour is due now", "rebuild asked for", "pending")
	b.picture("hour")
	if got := w.events("acme")[0]; got != "admin archive" {
		t.Errorf("the audit log's latest is %q", got)
	}
	if _, ok, err := w.catalog.Claim(t.Context(), domain.HourKey{Tenant: "acme", Day: w.day, Hour: 20}, "x"); err != nil || !ok {
		t.Errorf("the hour cannot be claimed: %v, %v", ok, err)
	}

	b.do(chromedp.Navigate(b.url + "/admin/running"))
	b.shows("worker-1/4711", string(w.day)+" 21")
	b.picture("running")
	b.do(chromedp.Navigate(b.url + "/admin/failed"))
	b.shows("fjord-bank", "every source of this hour has vanished")
	b.picture("failed")
	b.do(chromedp.Navigate(b.url + "/admin/tenants/acme"))
	b.shows("daily_audio_recordings", "links issued", "40 days")
	b.picture("tenant")
}

// TestLive watches a build come and go without a hand.
func TestLive(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	b := newTab(w)
	b.signIn()
	b.do(chromedp.Navigate(b.url + "/admin/running"))
	b.shows("Nothing is being built")
	w.plan("acme", w.day)
	w.claim(w.key("acme", w.day, 3))
	b.do(chromedp.WaitVisible(chromedp.CSS(`a[href$="/hours/03"]`)))
	b.shows("worker-1/4711")
}

// TestDarkAndPhone looks at the pages in the dark and on a phone; none may scroll sideways.
func TestDarkAndPhone(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	month(w)
	b := newTab(w)
	b.signIn()
	day := "/admin/tenants/acme/days/" + string(w.day)
	background := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		for name, path := range map[string]string{"calendar": "/admin", "day": day, "hour": day + "/hours/09", "tenant": "/admin/tenants/acme",
			"confirm": day + "/rebuild", "running": "/admin/running", "failed": "/admin/failed"} {
			b.look(390, 844, true, scheme)
			b.do(chromedp.Navigate(b.url + path))
			b.fits()
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

// TestNewSecretOnAPhone asks for a webhook's new secret on a phone, where ids and secrets are long.
func TestNewSecretOnAPhone(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	w.withWebhooks(admin.Config{Token: adminToken})
	id := w.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/`+strings.Repeat("x", 80)+`"}`, 201)["id"].(string)
	b := newTab(w)
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

// TestKeyboard goes through the calendar without a mouse.
func TestKeyboard(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	w.plan("acme", w.day)
	b := newTab(w)
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
	want := fmt.Sprintf("%s/days/%s", tenant, w.day.Add(-1))
	if got := focused(); got != want {
		t.Fatalf("two to the right is %q, want %q", got, want)
	}
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent("\r")); err != nil {
		t.Fatal(err)
	}
	b.shows(string(w.day.Add(-1)))
}

// TestQueuesInABrowser opens the dashboard under the policy that it gets here.
func TestQueuesInABrowser(t *testing.T) {
	w := newWorld(t, apitest.SQLite(t), nil)
	if _, err := w.queue.Epoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.queue.Enqueue(t.Context(), w.key("acme", w.day, 1), 1); err != nil {
		t.Fatal(err)
	}
	b := newTab(w)
	b.look(1280, 860, false, "light")
	b.signIn()
	b.do(chromedp.Navigate(b.url+"/admin/queues"), chromedp.WaitVisible(chromedp.CSS(`a[href="/admin/queues/queues/build"]`)))
	b.picture("queues")
}
