package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestLinesOfLibraries: what the queue dashboard writes to Go's standard logger is a normal log
// line.
func TestLinesOfLibraries(t *testing.T) {
	f := newFixture(t)
	const token = "an-admin-token-of-more-than-32-characters"
	f.env["CALLVAULT_ADMIN_TOKEN"] = token
	p := f.start("api")
	var session string
	ask := func(path, contentType, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.api+path, strings.NewReader(body))
		f.must(err)
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Cookie", session)
		resp, err := http.DefaultTransport.RoundTrip(req) // it follows no redirect
		f.must(err)
		f.must(resp.Body.Close())
		for _, c := range resp.Cookies() {
			session = c.Name + "=" + c.Value
		}
		return resp.StatusCode
	}
	if status := ask("/admin/signin", "application/x-www-form-urlencoded", url.Values{"token": {token}}.Encode()); status != http.StatusSeeOther {
		t.Fatalf("signing in answers %d", status)
	}
	if status := ask("/admin/queues/api/queues/build/pending_tasks:batch_delete", "application/json", `{"task_ids":["gone"]}`); status != http.StatusOK {
		t.Fatalf("the dashboard answers %d", status)
	}
	p.term()
	said := false
	for line := range strings.Lines(p.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("not a line of JSON: %s", line)
		}
		message, _ := fields["message"].(string)
		said = said || strings.Contains(message, `could not delete task with id "gone"`)
	}
	if !said {
		t.Errorf("the log does not have the dashboard's words:\n%s", p.log)
	}
}
