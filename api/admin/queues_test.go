package admin_test

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/domain"
)

// An action that comes too late, or is about an unknown task, is not answered 500, nor is one while
// Redis is away: an alert counts the 500s.
func TestQueuesRefuse(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), nil)
	session := f.session()
	if _, err := f.queue.Epoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.queue.Enqueue(t.Context(), domain.HourKey{Tenant: "acme", Day: f.day, Hour: 1}, 1); err != nil {
		t.Fatal(err)
	}
	const api = "/admin/queues/api"
	task := "h:acme:" + f.day.Compact() + ":01:d1"
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/queues/nobody", 404},
		{"GET", "/queues/nobody/pending_tasks", 404},
		{"GET", "/queues/nobody/groups", 404},
		{"GET", "/queues/build/tasks/nobody", 404},
		{"DELETE", "/queues/build/pending_tasks/nobody", 404},
		{"POST", "/queues/build/retry_tasks/" + task + ":run", 409}, // it is pending already
		{"POST", "/queues/build:resume", 409},                       // it is not paused
		{"GET", "/metrics", 404},                                    // no Prometheus is configured
		{"GET", "/queues/build/pending_tasks", 200},
	} {
		a := f.ask(c.method, api+c.path, "", "Cookie", session, "Accept", "application/json")
		f.equal(c.method+" "+c.path, a.Status, c.status)
	}
	if err := f.queue.Redis().Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/queues", "/queues/build/pending_tasks", "/servers", "/redis_info"} {
		a := f.ask("GET", api+path, "", "Cookie", session, "Accept", "application/json")
		f.equal(path+" without Redis", a.Status, 503)
		if text := string(a.Body); !strings.Contains(text, "Redis does not answer") || strings.Contains(text, "closed") || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s answers %q, %v", path, text, a.Header)
		}
	}
}
