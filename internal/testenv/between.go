package testenv

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// Between puts an HTTP proxy in front of target, a URL, until the test ends, and gives its URL. mine
// answers the requests for which it says true; change, which may be nil, changes the answers to others.
// Host and path pass as they are, so signatures stay good.
func Between(t testing.TB, target string, mine func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{ModifyResponse: change, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mine == nil || !mine(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
