package admin_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
)

// TestPages requests every page. A page must be complete, load nothing from other hosts, and have
// neither inline scripts nor inline styles, which its policy forbids.
func TestPages(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		fillMonth(f)
		session := f.session()
		day := "/admin/tenants/acme/days/" + string(f.day)
		inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=|(src|href)="(https?:)?//`)
		for _, path := range []string{"/admin", "/admin?q=nobody", "/admin?after=zz", "/admin?days=7&limit=2", "/admin/running", "/admin/running/part", "/admin/failed",
			"/admin/failed/retry", "/admin/tenants/acme", "/admin/tenants/blueline", "/admin/tenants/acme/features/export_api/on",
			"/admin/tenants/acme/features/daily_audio_recordings/off", day, day + "/rebuild", day + "/retry", day + "/hours/00", day + "/hours/09",
			day + "/hours/20", day + "/hours/23/rebuild", "/admin/tenants/acme/days/" + string(f.day.Add(1)), "/admin/tenants/acme/days/" + string(f.day.Add(-80))} {
			a := f.ask("GET", path, "", "Cookie", session)
			if a.Status != 200 || a.Header.Get("Content-Type") != "text/html; charset=utf-8" || a.Header.Get("Cache-Control") != "no-store" {
				f.Errorf("%s answers %d, %v", path, a.Status, a.Header)
			}
			if !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'; script-src 'self';") {
				f.Errorf("%s has the policy %q", path, a.Header.Get("Content-Security-Policy"))
			}
			if found := inline.FindString(string(a.Body)); found != "" {
				f.Errorf("%s holds %q", path, found)
			}
			head := f.ask("HEAD", path, "", "Cookie", session)
			if head.Status != 200 || len(head.Body) > 0 {
				f.Errorf("HEAD %s answers %d with %d bytes", path, head.Status, len(head.Body))
			}
			without := f.ask("GET", path, "")
			if without.Status != 303 || !strings.HasPrefix(without.Header.Get("Location"), "/admin/signin?next=%2Fadmin") {
				f.Errorf("without a session %s answers %d to %s", path, without.Status, without.Header.Get("Location"))
			}
		}
		for path, want := range map[string]int{"/admin/nothing": 404, "/admin/tenants/nobody": 404, "/admin/tenants/acme/days/2026-02-30": 400, day + "/hours/24": 400,
			"/admin/tenants/acme/features/flying/on": 404, "/admin?to=x": 400, "/admin/tenants/nobody/days/" + string(f.day): 404, "/admin/failed?after=x": 400} {
			f.equal(path, f.ask("GET", path, "", "Cookie", session).Status, want)
		}
		if a := f.ask("POST", "/admin/running", "x=1", "Cookie", session); a.Status != 405 || a.Header.Get("Allow") != "GET, HEAD" {
			f.Errorf("POST of a page answers %d, %v", a.Status, a.Header)
		}
		for path, allow := range map[string]string{"/admin": "GET, HEAD", "/admin/": "GET, HEAD", "/admin/signout": "POST", day + "/rebuild": "GET, HEAD, POST",
			"/admin/queues": "GET, HEAD, POST, DELETE"} {
			for _, method := range []string{"PROPFIND2", "PATCH"} { // chi knows only the second
				a := f.ask(method, path, "", "Cookie", session)
				if a.Status != 405 || a.Header.Get("Allow") != allow || !strings.Contains(string(a.Body), "cannot be asked for in this way") {
					f.Errorf("%s %s answers %d, %v\n%s", method, path, a.Status, a.Header, a.Body)
				}
			}
		}
		f.equal("an unknown method of an unknown page", f.ask("PROPFIND2", "/admin/nothing", "", "Cookie", session).Status, 404)
		f.equal("an unknown method without a session", f.ask("PROPFIND2", day, "").Status, 405)
		f.equal("without a session, to a script", f.ask("GET", "/admin/running/part", "", "Accept", "text/plain").Status, 401)
		f.equal("an action without a session", f.ask("POST", day+"/rebuild", "hours=all").Status, 303)
		for _, action := range f.events("acme") {
			if strings.HasPrefix(action, "admin") {
				f.Errorf("looking at pages did something: %s", action)
			}
		}
	})
}

// TestForms sends what the pages' forms send. A GET of the same addresses changes nothing.
func TestForms(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		fillMonth(f)
		session := f.session()
		day := "/admin/tenants/acme/days/" + string(f.day)
		post := func(path, form, to string) {
			f.Helper()
			a := f.ask("POST", path, form, "Cookie", session)
			if a.Status != 303 || a.Header.Get("Location") != to {
				f.Errorf("%s answers %d to %s, want %s", path, a.Status, a.Header.Get("Location"), to)
			}
			if page := f.ask("GET", to, "", "Cookie", session); page.Status != 200 || !strings.Contains(string(page.Body), `role="status"`) {
				f.Errorf("%s answers %d and says nothing of what was done", to, page.Status)
			}
		}
		post(day+"/retry", "x=1", day+"?done=retry&n=1")
		// It was dispatched at once.
		v, err := f.catalog.HourHistory(f.Context(), domain.HourKey{Tenant: "acme", Day: f.day, Hour: 20})
		if err != nil {
			f.Fatal(err)
		}
		state, err := f.queue.State(f.Context(), domain.HourKey{Tenant: "acme", Day: f.day, Hour: 20}, v.Dispatch)
		if err != nil || state != queue.Live {
			f.Errorf("dispatch %d is %q, %v", v.Dispatch, state, err)
		}
		post(day+"/rebuild", "hours=waiting", day+"?done=rebuild&n=3")
		post(day+"/hours/07/rebuild", "hours=all", day+"/hours/07?done=rebuild&n=1")
		post("/admin/failed/retry", "x=1", "/admin/failed?done=retry&n=1")
		post("/admin/tenants/acme/features/export_api/on", "x=1", "/admin/tenants/acme?done=feature&n=1")
		post("/admin/tenants/acme/features/daily_audio_recordings/off", "x=1", "/admin/tenants/acme?done=feature&n=0")
		tenant, err := f.catalog.Tenant(f.Context(), "acme")
		if err != nil || !tenant.Export || tenant.Recordings {
			f.Errorf("%+v, %v", tenant, err)
		}
		f.equal("log", f.events("acme")[:5], []string{"admin tenant.set", "admin tenant.set", "admin archive", "admin archive", "admin retry"})
	})
}

// Text from outside is escaped on every page.
func TestHostileText(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	f.tenant("evil", `<script>alert(1)</script>`)
	f.plan("evil", f.day)
	f.fail(f.key("evil", f.day, 5), `"><img src=x onerror=alert(1)>`)
	session := f.session()
	for _, path := range []string{"/admin", "/admin/tenants/evil", "/admin/failed", "/admin/tenants/evil/days/" + string(f.day) + "/hours/05",
		"/admin?q=%22%3E%3Cscript%3E", "/admin/tenants/%3Cscript%3E", "/admin?done=rebuild&n=%3Cscript%3E"} {
		body := string(f.ask("GET", path, "", "Cookie", session).Body)
		if strings.Contains(body, "<script>") || strings.Contains(body, "<img") {
			t.Errorf("%s lets markup through", path)
		}
	}
}

func TestAssets(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	for path, kind := range map[string]string{"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		a := f.ask("GET", "/admin/assets/"+path, "")
		if a.Status != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), kind) {
			t.Errorf("%s answers %d, %s", path, a.Status, a.Header.Get("Content-Type"))
		}
	}
	f.equal("another file", f.ask("GET", "/admin/assets/page.go", "").Status, 404)
	f.equal("a folder", f.ask("GET", "/admin/assets/..%2Fpages", "").Status, 400)
}

// TestQueues pauses a queue in the dashboard.
func TestQueues(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	fillMonth(f)
	session := f.session()
	f.equal("without a session", f.ask("GET", "/admin/queues/api/queues", "", "Accept", "application/json").Status, 401)
	if _, err := f.queue.Epoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.queue.Enqueue(t.Context(), f.key("acme", f.day, 1), 1); err != nil {
		t.Fatal(err)
	}
	page := f.ask("GET", "/admin/queues", "", "Cookie", session)
	if page.Status != 200 || !strings.Contains(string(page.Body), `<div id="root">`) {
		t.Fatalf("the dashboard answers %d", page.Status)
	}
	list := f.ask("GET", "/admin/queues/api/queues", "", "Cookie", session, "Accept", "application/json")
	if list.Status != 200 || !strings.Contains(string(list.Body), `"build"`) {
		t.Fatalf("the queues are %d, %s", list.Status, list.Body)
	}
	const pause = "/admin/queues/api/queues/build:pause"
	f.equal("pause, without a session", f.ask("POST", pause, "", "Accept", "application/json").Status, 401)
	f.equal("pause, from elsewhere", f.ask("POST", pause, "", "Cookie", session, "Sec-Fetch-Site", "cross-site").Status, http.StatusForbidden)
	f.equal("lines", len(f.events("")), 0)
	f.equal("pause", f.ask("POST", pause, "", "Cookie", session, "Sec-Fetch-Site", "same-origin").Status, http.StatusNoContent)
	line, err := f.catalog.LatestAudit(t.Context(), "", "", -1, 2)
	if err != nil || len(line) != 1 || line[0].Actor != "admin" || line[0].Action != "queues.change" ||
		!strings.HasPrefix(string(line[0].Detail), `{"method":"POST","path":"queues/build:pause","remote":"192.0.2.1"`) {
		t.Errorf("the audit log has %+v, %v", line, err)
	}
	inspector := asynq.NewInspectorFromRedisClient(f.queue.Redis())
	if info, err := inspector.GetQueueInfo("build"); err != nil || !info.Paused {
		t.Errorf("%+v, %v", info, err)
	}
}

// The console works while Redis is gone, which is when it is needed.
func TestRedisAway(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	fillMonth(f)
	session := f.session()
	if err := f.queue.Redis().Close(); err != nil {
		t.Fatal(err)
	}
	page := f.ask("GET", "/admin/running", "", "Cookie", session)
	if page.Status != 200 || !strings.Contains(string(page.Body), "Redis does not answer") {
		t.Errorf("what runs: %d", page.Status)
	}
	day := "/admin/tenants/acme/days/" + string(f.day)
	f.equal("retry", f.ask("POST", day+"/retry", "x=1", "Cookie", session).Header.Get("Location"), day+"?done=retry&n=1")
	if _, ok, err := f.catalog.Claim(t.Context(), f.key("acme", f.day, 20), "x"); err != nil || !ok {
		t.Errorf("the hour is not due: %v, %v", ok, err)
	}
	f.equal("slots", f.call("GET", "/running", "", 200)["slots"], nil)
}
