package app

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/queue"
)

// parts opens a catalog, and a queue that nobody answers.
func parts(t *testing.T, serving config.Serving) *Parts {
	t.Helper()
	c, err := catalog.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"), catalog.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Connect("redis://127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	serving.AdminToken = "token"
	return &Parts{Config: config.Config{Serving: serving, Work: config.Work{Schedule: "0 2 * * *", DrainTimeout: time.Minute}}, Catalog: c, Queue: q}
}

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// TestAdminListen asks the address of its own for what has left the public one.
func TestAdminListen(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	log := zap.New(core)
	p := parts(t, config.Serving{AdminListen: "127.0.0.1:0", PublicURL: "https://vault.example"})
	pages := map[string]http.HandlerFunc{"/metrics": page("numbers"), "/healthz": page("fine")}
	g := NewGroup(log, time.Minute)
	families, err := p.operators(t.Context(), g, pages, log)
	if err != nil {
		t.Fatal(err)
	}
	if len(families) > 0 || pages["/metrics"] != nil || pages["/healthz"] == nil {
		t.Errorf("the public address keeps %d families and the pages %v", len(families), pages)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	address, ok := logged.FilterMessage("the console has an address of its own").All()[0].ContextMap()["address"].(string)
	if !ok {
		t.Fatal("the log does not say where it is")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]int{"/admin": 303, "/admin/signin": 200, "/api/admin/v1/tenants": 401, "/metrics": 200, "/healthz": 200, "/conversations": 404,
		"/docs": 200, "/docs/openapi/admin-api.yaml": 200, "/docs/openapi/recordings.yaml": 404} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Body.Close(); err != nil {
			t.Error(err)
		}
		if a.StatusCode != want {
			t.Errorf("%s answers %d, want %d", path, a.StatusCode, want)
		}
	}
}

// Without an address of its own the console is on the public address.
func TestAdminBesideThePublic(t *testing.T) {
	p := parts(t, config.Serving{PublicURL: "https://vault.example/recordings"})
	pages := map[string]http.HandlerFunc{"/metrics": page("numbers")}
	families, err := p.operators(t.Context(), NewGroup(zap.NewNop(), time.Minute), pages, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 3 || !families[0].Owns("/admin/queues/api") || !families[1].Owns("/api/admin/v1/tenants") || !families[2].Owns("/metrics") {
		t.Fatalf("%d families", len(families))
	}
	if pages["/metrics"] != nil {
		t.Error("the metrics are open to strangers")
	}
	h := api.New(api.Config{}, api.Deps{Families: families, Pages: pages, Log: zap.NewNop(), Now: time.Now})
	for token, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer token": 200} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Authorization", token)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want || (w.Body.String() == "numbers") != (want == 200) {
			t.Errorf("with %q: %d %s", token, w.Code, w.Body)
		}
	}
}
