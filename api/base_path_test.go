package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
)

// A proxy passes the path of the public URL on, or removes it. Both are answered alike.
func TestPathOfPublicURL(t *testing.T) {
	echo := api.Family{Name: "f", Owns: func(path string) bool { return strings.HasPrefix(path, "/f/") }, Fail: family("f").Fail,
		Spec: []byte("openapi: 3.1.0\nservers:\n  - url: /\npaths: {}\n"),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.URL.Path+" "+r.URL.EscapedPath()+" "+r.URL.RawQuery)
		})}
	below := func(path string) http.Handler {
		return api.New(api.Config{BasePath: path}, api.Deps{Families: []api.Family{echo}, Log: zap.NewNop(), Now: time.Now,
			Pages: map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "home") }}})
	}
	for _, c := range []struct{ base, path, want string }{
		{"/vault", "/f/a?b=c", "/f/a /f/a b=c"},
		{"/vault", "/vault/f/a?b=c", "/f/a /f/a b=c"},
		{"/vault", "/vault/f/a%2Fb", "/f/a/b /f/a%2Fb "},
		{"/vault", "/vault", "home"},
		{"/vault", "/vault/", "home"},
		{"/vault", "/", "home"},
		{"/vault/x", "/vault/x/f/a", "/f/a /f/a "},
		{"/f", "/f/a", "/f/a /f/a "}, // a path that is callvault's own must be removed by the proxy
	} {
		if w := ask(below(c.base), "GET", c.path, ""); w.Code != 200 || w.Body.String() != c.want {
			t.Errorf("below %s: %s answers %d %q, want %q", c.base, c.path, w.Code, w.Body, c.want)
		}
	}
	for _, path := range []string{"/vaultf/a", "/vaults", "/vault/vault/f/a", "/Vault/f/a", "/vault/g"} {
		if w := ask(below("/vault"), "GET", path, ""); w.Code != 404 {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
	for _, path := range []string{"/vault/docs/openapi/f.yaml", "/openapi/f.yaml"} {
		if w := ask(below("/vault"), "GET", path, ""); !strings.Contains(w.Body.String(), "\n  - url: /vault\n") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}
