package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/api"
)

// family answers under /f, or streams under /s, with errors of its own.
func family(name string) api.Family {
	root := "/" + name + "/"
	fail := func(w http.ResponseWriter, _ *http.Request, status int) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "family says "+http.StatusText(status))
	}
	mux := http.NewServeMux()
	mux.HandleFunc(root+"read", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			fail(w, r, http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = w.Write(body[:min(len(body), 10)])
	})
	mux.HandleFunc(root+"panic", func(http.ResponseWriter, *http.Request) { first(nil) })
	mux.HandleFunc(root+"late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		first(nil)
	})
	mux.HandleFunc(root, func(w http.ResponseWriter, r *http.Request) { fail(w, r, http.StatusNotFound) })
	return api.Family{Name: name, Owns: func(path string) bool { return strings.HasPrefix(path, root) }, Handler: mux, Fail: fail,
		Streams: name == "s", Spec: []byte("openapi: 3.1.0\n")}
}

// first panics on an empty list, as a handler might by mistake.
func first(list []byte) byte { return list[0] }

func newAPI(t *testing.T, cfg api.Config) (http.Handler, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	return api.New(cfg, api.Deps{Families: []api.Family{family("f"), family("s")}, Log: zap.New(core), Now: time.Now,
		Pages: map[string]http.HandlerFunc{"/healthz": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive") }}}), logs
}

func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestErrorsAreTheFamilys(t *testing.T) {
	h, _ := newAPI(t, api.Config{})
	large := strings.Repeat("x", 1<<20+1)
	for _, c := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"unknown path", "/f/x", "", 404, "family says Not Found"},
		{"panic", "/f/panic", "", 500, "family says Internal Server Error"},
		{"large", "/f/read", large, 413, "family says Request Entity Too Large"},
		{"large stream", "/s/read", large, 200, "xxxxxxxxxx"},
		{"just fits", "/f/read", large[1:], 200, "xxxxxxxxxx"},
		{"nobody's", "/g", "", 404, `{"error":"Not Found"}` + "\n"},
	} {
		w := ask(h, "POST", c.path, c.body)
		if w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("%s: %d %q", c.name, w.Code, w.Body)
		}
		if w.Header().Get("X-Request-Id") == "" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", c.name, w.Header())
		}
	}
}

func TestBrokenAnswerIsNotWhole(t *testing.T) {
	h, _ := newAPI(t, api.Config{})
	server := httptest.NewServer(h)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/f/late", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(r)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Fatal("an answer that broke off looks whole")
	}
}

func TestRequestID(t *testing.T) {
	h, _ := newAPI(t, api.Config{})
	if got := ask(h, "GET", "/f/read", "", "X-Request-Id", "abc-1_2.Z").Header().Get("X-Request-Id"); got != "abc-1_2.Z" {
		t.Errorf("a sane id became %q", got)
	}
	for _, bad := range []string{"", "a b", "a\"b", strings.Repeat("a", 129), "é"} {
		if got := ask(h, "GET", "/f/read", "", "X-Request-Id", bad).Header().Get("X-Request-Id"); got == bad || got == "" {
			t.Errorf("%q was kept as %q", bad, got)
		}
	}
}

func TestLogHoldsNoPath(t *testing.T) {
	h, logs := newAPI(t, api.Config{})
	ask(h, "GET", "/f/read/secret-thing?token=secret-thing", "", "Authorization", "Bearer secret-thing")
	if logs.Len() != 1 {
		t.Fatalf("%d lines", logs.Len())
	}
	entry := logs.All()[0]
	for name, value := range entry.ContextMap() {
		if s, ok := value.(string); ok && strings.Contains(s, "secret-thing") {
			t.Errorf("%s: %s", name, s)
		}
	}
	if entry.ContextMap()["family"] != "f" || entry.ContextMap()["status"] != int64(404) {
		t.Errorf("%v", entry.ContextMap())
	}
}

// The address in the log is that of the caller, which only trusted proxies may name.
func TestTrustedProxies(t *testing.T) {
	for network, want := range map[string]string{"192.0.2.0/24": "203.0.113.9", "10.0.0.0/8": "192.0.2.1"} {
		h, logs := newAPI(t, api.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix(network)}})
		ask(h, "GET", "/f/read", "", "X-Forwarded-For", "203.0.113.9")
		if got := logs.All()[0].ContextMap()["remote"]; got != want {
			t.Errorf("with the proxies %s the log names %v, want %s", network, got, want)
		}
	}
}

func TestCORS(t *testing.T) {
	const origin = "https://app.example.com"
	closed, _ := newAPI(t, api.Config{})
	if got := ask(closed, "GET", "/f/read", "", "Origin", origin).Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("without origins %q may call", got)
	}
	open, _ := newAPI(t, api.Config{CORSOrigins: []string{origin}})
	w := ask(open, "GET", "/f/read", "", "Origin", origin)
	if w.Header().Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("%v", w.Header())
	}
	exposed := strings.ToLower(w.Header().Get("Access-Control-Expose-Headers"))
	for _, name := range []string{"content-disposition", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed", name)
		}
	}
	if got := ask(open, "GET", "/f/read", "", "Origin", "https://evil.example.com").Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("another origin: %q", got)
	}
	pre := ask(open, "OPTIONS", "/f/read", "", "Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	if pre.Code != 200 || pre.Header().Get("Access-Control-Allow-Origin") != origin || pre.Header().Get("X-Request-Id") == "" {
		t.Errorf("preflight: %d %v", pre.Code, pre.Header())
	}
}

// The root answers browsers with a page that leads on, and others with 404.
func TestFrontPage(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	h, _ := newAPI(t, api.Config{})
	a := ask(h, "GET", "/", "", "Accept", browser)
	if a.Code != 200 || !strings.Contains(a.Body.String(), `href="docs"`) || strings.Contains(a.Body.String(), "/admin") ||
		!strings.Contains(a.Header().Get("Content-Security-Policy"), "default-src 'none'") || a.Header().Get("Vary") != "Accept" {
		t.Errorf("a browser: %d %v\n%s", a.Code, a.Header(), a.Body)
	}
	if a = ask(h, "HEAD", "/", "", "Accept", browser); a.Code != 200 || a.Body.Len() > 0 {
		t.Errorf("HEAD: %d %s", a.Code, a.Body)
	}
	console := api.Family{Name: "console", Owns: func(path string) bool { return path == "/admin" }, Spec: []byte("openapi: 3.1.0\n")}
	withConsole := api.New(api.Config{}, api.Deps{Families: []api.Family{console}, Log: zap.NewNop(), Now: time.Now})
	if a = ask(withConsole, "GET", "/", "", "Accept", browser); !strings.Contains(a.Body.String(), `href="admin"`) {
		t.Errorf("with a console:\n%s", a.Body)
	}
	below := api.New(api.Config{BasePath: "/vault"}, api.Deps{Families: []api.Family{console}, Log: zap.NewNop(), Now: time.Now})
	if a = ask(below, "GET", "/vault", "", "Accept", browser); !strings.Contains(a.Body.String(), `href="/vault/admin"`) || !strings.Contains(a.Body.String(), `href="/vault/docs"`) {
		t.Errorf("below a path:\n%s", a.Body)
	}
	health := api.New(api.Config{}, api.Deps{Log: zap.NewNop(), Now: time.Now})
	for name, a := range map[string]*httptest.ResponseRecorder{
		"a program": ask(h, "GET", "/", "", "Accept", "*/*"), "without Accept": ask(h, "GET", "/", ""), "POST": ask(h, "POST", "/", "", "Accept", browser),
		"a role without an API": ask(health, "GET", "/", "", "Accept", browser),
	} {
		if a.Code != 404 || a.Body.String() != `{"error":"Not Found"}`+"\n" {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
	}
}

func TestPages(t *testing.T) {
	h, _ := newAPI(t, api.Config{})
	if w := ask(h, "GET", "/healthz", ""); w.Code != 200 || w.Body.String() != "alive" || w.Header().Get("X-Request-Id") == "" {
		t.Errorf("healthz: %d %s %v", w.Code, w.Body, w.Header())
	}
	if w := ask(h, "DELETE", "/healthz", ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("delete: %d %v", w.Code, w.Header())
	}
	for _, path := range []string{"//healthz", "/g/../healthz", "/healthz/"} { // they are not redirected to the clean path
		if w := ask(h, "GET", path, ""); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(h, "GET", "/openapi/f.yaml", ""); w.Code != 200 || w.Body.String() != "openapi: 3.1.0\n" {
		t.Errorf("description: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/openapi", ""); !strings.Contains(w.Body.String(), "/openapi/f.yaml") {
		t.Errorf("descriptions: %s", w.Body)
	}
}
