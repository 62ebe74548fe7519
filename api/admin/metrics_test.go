package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/admin"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
)

// /metrics needs the token on the public address, and wrong tokens are limited as everywhere.
func TestMetricsNeedTheToken(t *testing.T) {
	c := catalogtest.Open(t, "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"))
	open := func(token string) http.Handler {
		families, err := admin.New(admin.Config{Token: token}, admin.Deps{Catalog: c, Log: zap.NewNop(), Now: time.Now,
			Metrics: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "callvault_tenants 3\n") }})
		if err != nil {
			t.Fatal(err)
		}
		return api.New(api.Config{}, api.Deps{Families: families, Log: zap.NewNop(), Now: time.Now})
	}
	at := func(h http.Handler, path, method, authorization string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	ask := func(h http.Handler, method, authorization string) *httptest.ResponseRecorder {
		return at(h, "/metrics", method, authorization)
	}
	h := open(adminToken)
	for name, want := range map[string]struct {
		method, authorization string
		status                int
	}{
		"no token":    {"GET", "", 401},
		"wrong token": {"GET", "Bearer " + adminToken + "x", 401},
		"basic":       {"GET", "Basic " + adminToken, 401},
		"token":       {"GET", "Bearer " + adminToken, 200},
		"post":        {"POST", "Bearer " + adminToken, 405},
	} {
		w := ask(h, want.method, want.authorization)
		if told := strings.Contains(w.Body.String(), "callvault_tenants"); w.Code != want.status || told != (want.status == 200) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for range 10 { // at the API, from the same address
		at(h, root+"/tenants", "GET", "Bearer guess")
	}
	if w := ask(h, "GET", "Bearer guess"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("after ten guesses: %d", w.Code)
	}
	if w := ask(h, "GET", "Bearer "+adminToken); w.Code != 200 {
		t.Errorf("after ten guesses the right one is answered %d", w.Code)
	}
	if w := ask(open(""), "GET", "Bearer "); w.Code != 401 && w.Code != 403 {
		t.Errorf("without any token set: %d %s", w.Code, w.Body)
	}
}
