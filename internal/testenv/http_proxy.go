package testenv

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// HTTPProxy runs an HTTP proxy in front of target, a URL, until the test ends, and returns its URL.
// answer, which may be nil, answers the requests for which it returns true. change, which may be
// nil, changes the answers to the others. Host and path are passed on unchanged, so signatures stay
// valid.
func HTTPProxy(t testing.TB, target string, answer func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{ModifyResponse: change, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // the signature covers it
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer == nil || !answer(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
