package admin_test

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/catalog"
)

// signIn signs in with a token from an address.
func (f *fixture) signIn(token, remote string, headers ...string) apitest.Answer {
	f.Helper()
	r := request("POST", "/admin/signin", url.Values{"token": {token}}.Encode(), headers...)
	r.RemoteAddr = remote + ":4711"
	return apitest.Do(f.handler, r)
}

func cookie(a apitest.Answer) *http.Cookie {
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.Name == "callvault_admin" {
			return c
		}
	}
	return nil
}

// session signs in and gives the Cookie header.
func (f *fixture) session() string {
	f.Helper()
	c := cookie(f.signIn(adminToken, "192.0.2.1"))
	if c == nil {
		f.Fatal("no session")
	}
	return c.Name + "=" + c.Value
}

func TestSession(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	a := f.signIn(adminToken, "192.0.2.1")
	c := cookie(a)
	if a.Status != 303 || c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/admin" || c.MaxAge != 12*3600 {
		t.Fatalf("signing in answers %d with %+v", a.Status, c)
	}
	if strings.Contains(c.Value, adminToken) {
		t.Error("the cookie holds the token")
	}
	session := c.Name + "=" + c.Value
	f.equal("with it", f.ask("GET", "/admin", "", "Cookie", session).Status, 200)
	if other := cookie(f.signIn(adminToken, "192.0.2.1")); other == nil || other.Value == c.Value {
		t.Error("two sessions are alike")
	}
	for what, value := range map[string]string{"none": "", "cut": c.Value[:len(c.Value)-2], "token": adminToken,
		"longer": flip(c.Value), "padded": c.Value + "="} {
		f.equal(what, f.ask("GET", "/admin", "", "Cookie", c.Name+"="+value).Status, 303)
	}
	f.now = func() time.Time { return time.Now().Add(12*time.Hour + time.Second) }
	f.equal("after its end", f.ask("GET", "/admin", "", "Cookie", session).Status, 303)
	f.now = time.Now
	f.equal("before it again", f.ask("GET", "/admin", "", "Cookie", session).Status, 200)

	still := f.session()
	out := cookie(f.ask("POST", "/admin/signout", "x=1", "Cookie", session))
	if out == nil || out.MaxAge >= 0 || out.Value != "" {
		t.Errorf("signing out sets %+v", out)
	}
	f.equal("a copy of it after signing out", f.ask("GET", "/admin", "", "Cookie", session).Status, 303)
	f.equal("another session", f.ask("GET", "/admin", "", "Cookie", still).Status, 200)
	f.equal("signing out again", f.ask("POST", "/admin/signout", "x=1", "Cookie", session).Status, 303)
	f.open(time.Now) // a handler of another replica
	f.equal("a copy of it elsewhere", f.ask("GET", "/admin", "", "Cookie", session).Status, 303)
	f.equal("another session elsewhere", f.ask("GET", "/admin", "", "Cookie", still).Status, 200)
	session = still
	f.change = func(c *admin.Config) { c.Token = "another token" }
	f.open(time.Now)
	f.equal("under another token", f.ask("GET", "/admin", "", "Cookie", session).Status, 303)
}

// flip changes the first character, which is part of the time at which the session ends.
func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

// sessionReads counts how often the catalog is asked about a session.
type sessionReads struct {
	*catalog.Catalog
	n int
}

func (s *sessionReads) SessionEnded(ctx context.Context, id string) (bool, error) {
	s.n++
	return s.Catalog.SessionEnded(ctx, id)
}

func TestPageReadsItsSessionOnce(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	reads := &sessionReads{Catalog: f.catalog}
	families, err := admin.New(admin.Config{Token: adminToken}, admin.Deps{Catalog: reads, Queue: f.queue, Log: zap.NewNop(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	f.handler = api.New(api.Config{}, api.Deps{Families: families, Log: zap.NewNop(), Now: time.Now})
	page := f.ask("GET", "/admin", "", "Cookie", f.session())
	if page.Status != 200 || !strings.Contains(string(page.Body), "/admin/signout") || reads.n != 1 {
		t.Errorf("the page is %d after %d reads: %s", page.Status, reads.n, page.Body)
	}
}

func TestCookieBehindTLS(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), func(c *admin.Config) { c.Secure = true })
	if c := cookie(f.signIn(adminToken, "192.0.2.1")); c == nil || !c.Secure {
		t.Errorf("the cookie goes without TLS: %+v", c)
	}
	f.change, f.proxies = nil, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	f.open(time.Now)
	for remote, secure := range map[string]bool{"192.0.2.1": true, "192.0.2.2": false} {
		if c := cookie(f.signIn(adminToken, remote, "X-Forwarded-Proto", "https")); c == nil || c.Secure != secure {
			t.Errorf("what %s says of TLS makes the cookie %+v", remote, c)
		}
	}
}

func TestAttempts(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	start := time.Now()
	f.now = func() time.Time { return start }
	for range 9 {
		f.equal("wrong", f.signIn("wrong", "192.0.2.9").Status, 401)
		f.equal("right", f.signIn(adminToken, "192.0.2.9").Status, 303)
	}
	f.equal("the tenth", f.signIn("", "192.0.2.9").Status, 401)
	a := f.signIn("wrong", "192.0.2.9")
	if a.Status != 429 || a.Header.Get("Retry-After") != "600" || cookie(a) != nil {
		t.Errorf("after ten wrong tokens another one answers %d, %v", a.Status, a.Header)
	}
	api := request("GET", root+"/tenants", "", "Authorization", "Bearer wrong")
	api.RemoteAddr = "192.0.2.9:1"
	if a = apitest.LoadSpec(t, "openapi.yaml").Do(t, f.handler, api); a.Status != 429 || a.Header.Get("Retry-After") != "600" {
		t.Errorf("the API answers another one %d, %v", a.Status, a.Header)
	}
	f.equal("the right one", f.signIn(adminToken, "192.0.2.9").Status, 303)
	api.Header.Set("Authorization", "Bearer "+adminToken)
	f.equal("the right one at the API", apitest.Do(f.handler, api).Status, 200)
	f.equal("another address", f.signIn("wrong", "192.0.2.10").Status, 401)
	f.now = func() time.Time { return start.Add(10 * time.Minute) }
	f.equal("later", f.signIn("wrong", "192.0.2.9").Status, 401)
}

func TestClosed(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), func(c *admin.Config) { c.Token = "" })
	for _, path := range []string{"/admin", "/admin/signin", "/admin/queues", "/admin/running"} {
		a := f.ask("GET", path, "")
		if a.Status != 403 || !strings.Contains(string(a.Body), "CALLVAULT_ADMIN_TOKEN") {
			t.Errorf("%s answers %d without naming the variable", path, a.Status)
		}
	}
	for _, token := range []string{"", adminToken} {
		if a := f.signIn(token, "192.0.2.1"); a.Status != 403 || cookie(a) != nil {
			t.Errorf("signing in with %q answers %d", token, a.Status)
		}
		a := apitest.LoadSpec(t, "openapi.yaml").Do(t, f.handler, request("GET", root+"/tenants", "", "Authorization", "Bearer "+token))
		f.equal("the API", a.Status, 403)
	}
}

// A page of another site can't use the operator's session, even if the browser sends the cookie.
func TestOtherSites(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), func(c *admin.Config) { c.Origin = "https://vault.example" })
	fillMonth(f)
	session := f.session()
	path := "/admin/tenants/acme/days/" + string(f.day) + "/rebuild"
	for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, target := range []string{path, "/admin/failed/retry", "/admin/tenants/acme/features/export_api/on", "/admin/signin", "/admin/signout",
			"/admin/queues/api/queues/build:pause"} {
			headers := append([]string{"Cookie", session}, from...)
			f.equal(target+" from "+from[1], f.ask("POST", target, "hours=all", headers...).Status, 403)
		}
		f.equal("delete a queue from "+from[1], f.ask("DELETE", "/admin/queues/api/queues/build", "", append([]string{"Cookie", session}, from...)...).Status, 403)
	}
	f.equal("its own", f.ask("POST", path, "hours=all", "Cookie", session, "Sec-Fetch-Site", "same-origin").Status, 303)
	f.equal("its own behind a proxy", f.ask("POST", path, "hours=all", "Cookie", session, "Origin", "https://vault.example").Status, 303)
}

func TestConsolePath(t *testing.T) {
	for text, want := range map[string]string{
		"/admin/tenants/acme": "/admin/tenants/acme", "/admin?q=a": "/admin?q=a", "": "/admin", "https://evil.example/admin": "/admin",
		"//evil.example/admin": "/admin", "/admin/../x": "/admin", "/\\evil.example": "/admin", "/administrator": "/admin", "/admin/signin": "/admin",
		"javascript:alert(1)": "/admin", "/admin\r\nX: y": "/admin",
	} {
		if got := admin.ConsolePath(text); got != want {
			t.Errorf("%q leads to %q, want %q", text, got, want)
		}
	}
}
