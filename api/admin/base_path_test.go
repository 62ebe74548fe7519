package admin_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/api/internal/apitest"
)

const below = "/vault" // path of the public URL

// behindProxies runs a test over a console below a path, whose proxy removes the path or passes it
// on.
func behindProxies(t *testing.T, test func(f *fixture)) {
	for name, removed := range map[string]string{"removed": below, "passed on": ""} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, apitest.SQLite(t), func(c *admin.Config) { c.BasePath = below })
			f.withWebhooks(admin.Config{Token: adminToken, BasePath: below})
			f.call("POST", "/tenants/acme/webhooks", `{"url":"https://hooks.example.com/x"}`, 201)
			server := httptest.NewServer(f.handler)
			t.Cleanup(server.Close)
			to, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			proxy := http.NewServeMux() // everything outside the path is 404
			proxy.Handle(below+"/", http.StripPrefix(removed, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}))
			f.handler = proxy
			test(f)
		})
	}
}

// TestEveryLinkBelowAPath follows every link of the console. All must be below the path, and none
// may lead nowhere.
func TestEveryLinkBelowAPath(t *testing.T) {
	links := regexp.MustCompile(`(?:href|src|action|data-live)="([^"#][^"]*)"`)
	behindProxies(t, func(f *fixture) {
		fillMonth(f)
		server := httptest.NewServer(f.handler)
		defer server.Close()
		jar, err := cookiejar.New(nil) // sends a cookie below its path only
		if err != nil {
			f.Fatal(err)
		}
		client := &http.Client{Jar: jar}
		read := func(a *http.Response, err error) string {
			f.Helper()
			if err != nil {
				f.Fatal(err)
			}
			body, err := io.ReadAll(a.Body)
			if err := a.Body.Close(); err != nil {
				f.Error(err)
			}
			if err != nil || a.StatusCode != 200 && a.StatusCode != 405 { // some are only posted to
				f.Errorf("%s answers %d, %v", a.Request.URL, a.StatusCode, err)
			}
			return string(body)
		}
		read(client.PostForm(server.URL+below+"/admin/signin", url.Values{"token": {adminToken}, "next": {"/admin/running"}}))
		seen := map[string]bool{}
		var visit func(path string)
		visit = func(path string) {
			kind := regexp.MustCompile(`[0-9-]{4,}|\d\d?|acme|[a-z_-]+\?.*`).ReplaceAllString(path, "") // pages of one kind are alike
			if seen[kind] {
				return
			}
			seen[kind] = true
			page := read(client.Get(server.URL + path))
			if strings.Contains(page, `id="token"`) {
				f.Errorf("%s leads to the sign-in page", path)
			}
			if !strings.Contains(page, `class="skip"`) && !strings.HasSuffix(path, "/part") { // an asset, or the dashboard's
				return
			}
			for _, link := range links.FindAllStringSubmatch(page, -1) {
				if to := strings.ReplaceAll(link[1], "&amp;", "&"); !strings.HasPrefix(to, below+"/") {
					f.Errorf("%s links to %s", path, to)
				} else if strings.HasPrefix(to, below+"/admin") {
					visit(to)
				}
			}
		}
		visit(below + "/admin")
		if len(seen) < 15 {
			f.Errorf("only %d pages were found: %v", len(seen), seen)
		}
	})
}

// TestBrowserBelowAPath signs in, has an hour built again, looks at the queues, and signs out.
func TestBrowserBelowAPath(t *testing.T) {
	behindProxies(t, func(f *fixture) {
		f.plan("acme", f.day)
		if _, err := f.queue.Epoch(f.Context()); err != nil {
			f.Fatal(err)
		}
		if err := f.queue.Enqueue(f.Context(), f.key("acme", f.day, 1), 1); err != nil {
			f.Fatal(err)
		}
		b := newTab(f)
		b.url += below
		b.do(chromedp.Navigate(b.url + "/admin/tenants/acme/days/" + string(f.day) + "/hours/03"))
		b.shows("Sign in")
		b.do(chromedp.SendKeys(chromedp.CSS("#token"), adminToken))
		b.follow("button.primary")
		b.follow(`a[href$="/rebuild"]`)
		b.shows("hour 03 of acme?")
		b.follow("button.primary")
		b.shows("Nothing is due")
		if styled := read(b, chromedp.Evaluate[int](`document.styleSheets[0].cssRules.length`)); styled == 0 {
			b.Error("the page has no styles")
		}
		b.do(chromedp.Navigate(b.url+"/admin/queues"), chromedp.WaitVisible(chromedp.CSS(`a[href="/vault/admin/queues/queues/build"]`)))
		b.do(chromedp.Navigate(b.url + "/admin"))
		b.follow("form.out button")
		b.shows("Sign in")
	})
}
