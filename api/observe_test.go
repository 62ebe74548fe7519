package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/internal/telemetry"
)

// Observe gets the route of an answer, never its path.
func TestAnswersAreObserved(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/t/{id}", func(w http.ResponseWriter, r *http.Request) {
		telemetry.SetRoute(r.Context(), "/t/{id}")
		_, _ = io.WriteString(w, "it")
	})
	known := api.Family{Name: "t", Owns: func(path string) bool { return strings.HasPrefix(path, "/t/") }, Handler: mux}
	var seen []api.Answer
	h := api.New(api.Config{}, api.Deps{Families: []api.Family{known, family("f")}, Log: zap.NewNop(), Now: time.Now,
		Pages:   map[string]http.HandlerFunc{"/healthz": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive") }},
		Observe: func(a api.Answer) { seen = append(seen, a) }})
	ask(h, "GET", "/t/acme?token=x", "")
	ask(h, "POST", "/f/panic", "")
	ask(h, "GET", "/healthz", "")
	ask(h, "GET", "/wp-admin/of/acme", "")
	want := []api.Answer{
		{Family: "t", Route: "/t/{id}", Method: "GET", Status: 200, Bytes: 2},
		{Family: "f", Method: "POST", Status: 500, Bytes: 33},
		{Family: "none", Route: "/healthz", Method: "GET", Status: 200, Bytes: 5},
		{Family: "none", Method: "GET", Status: 404, Bytes: 22},
	}
	if len(seen) != len(want) {
		t.Fatalf("%d answers: %+v", len(seen), seen)
	}
	for i := range want {
		if seen[i].Took <= 0 {
			t.Errorf("answer %d took %v", i, seen[i].Took)
		}
		if seen[i].Took = 0; seen[i] != want[i] {
			t.Errorf("got %+v, want %+v", seen[i], want[i])
		}
	}
}
