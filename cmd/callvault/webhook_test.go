package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// TestWebhookCommands does what operators do: it makes an endpoint, completes a day, reads the log,
// replays a delivery and deletes the endpoint. Each command runs the embedded parts.
func TestWebhookCommands(t *testing.T) {
	arrived := make(chan error, 10)
	var secret string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			var body []byte
			if body, err = io.ReadAll(r.Body); err == nil {
				err = hook.Verify(body, r.Header)
			}
		}
		arrived <- err
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	env := config.Env{"CALLVAULT_DATA": t.TempDir(), "CALLVAULT_WEBHOOK_PRIVATE": "on", "CALLVAULT_MASTER_KEY": "a master key of a good length, for tests"}
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := callvault(t, env, args...)
		if code != want {
			t.Fatalf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
		return out + errs
	}
	ok := func(args ...string) map[string]any {
		t.Helper()
		code, out, errs := callvault(t, env, append(args, "--json")...)
		var fields map[string]any
		if err := json.Unmarshal([]byte(out), &fields); err != nil || code != exitOK {
			t.Fatalf("%v: exit %d, printed %q and %q: %v", args, code, out, errs, err)
		}
		return fields
	}
	ok("migrate", "up")
	ok("tenant", "create", "acme", "--feature", "daily_audio_recordings")
	made := ok("webhook", "create", "--tenant", "acme", "--url", receiver.URL)
	secret, _ = made["secret"].(string)
	id, _ := made["id"].(string)
	if !strings.HasPrefix(secret, "whsec_") || !strings.HasPrefix(id, "whe_") {
		t.Fatalf("created %v", made)
	}
	if listed := ok("webhook", "list", "--tenant", "acme"); listed["secret"] != nil || listed["enabled"] != true {
		t.Errorf("listed %v", listed)
	}

	yesterday := string(domain.DayOf(time.Now()).Add(-1))
	ok("archive", "--tenant", "acme", "--day", yesterday, "--wait")
	if list := run(exitOK, "webhook", "deliveries", "--tenant", "acme", "--day", yesterday); !strings.Contains(list, "day.completed") {
		t.Errorf("the log says\n%s", list)
	}
	// A process with a worker sends the event: here archive --wait while it waits.
	ok("webhook", "test", "--tenant", "acme", id)
	delivery := ok("webhook", "deliveries", "--tenant", "acme", "--event", "day.completed", "--limit", "1")["id"].(string)
	if n := ok("webhook", "replay", "--tenant", "acme", delivery)["replayed"]; n != 1.0 {
		t.Errorf("replayed %v", n)
	}
	if n := ok("webhook", "replay", "--tenant", "acme", "--failed")["replayed"]; n != 0.0 {
		t.Errorf("replayed %v", n)
	}
	ok("webhook", "set", "--tenant", "acme", id, "--disable")
	if out := run(exitFailed, "webhook", "test", "--tenant", "acme", id); !strings.Contains(out, "enable it first") {
		t.Errorf("%q", out)
	}
	ok("webhook", "set", "--tenant", "acme", id, "--enable", "--event", "day.failed")
	if fresh := ok("webhook", "rotate", "--tenant", "acme", id)["secret"]; fresh == secret || fresh == nil {
		t.Error("the secret stayed")
	}
	if said := run(exitOK, "webhook", "rotate", "--tenant", "acme", id, "--grace", "1h"); !strings.Contains(said, "The former secret signs too until 2") {
		t.Errorf("it says %s", said)
	}
	if said := run(exitOK, "webhook", "rotate", "--tenant", "acme", id, "--grace", "0"); !strings.Contains(said, "signs no more") {
		t.Errorf("it says %s", said)
	}
	ok("webhook", "delete", "--tenant", "acme", id)

	for _, args := range [][]string{
		{"webhook", "set", "--tenant", "acme", id},
		{"webhook", "set", "--tenant", "acme", id, "--enable", "--disable"},
		{"webhook", "replay", "--tenant", "acme"},
		{"webhook", "replay", "--tenant", "acme", "--day", "2025-2-2"},
		{"webhook", "deliveries", "--tenant", "acme", "--state", "lost"},
		{"webhook", "create", "--tenant", "acme", "--url", "https://a.example", "--event", "x"},
	} {
		run(exitUsage, args...)
	}
	for _, args := range [][]string{
		{"webhook", "delete", "--tenant", "acme", id},
		{"webhook", "list", "--tenant", "nobody"},
		{"webhook", "create", "--tenant", "nobody", "--url", "https://a.example"},
		{"webhook", "create", "--tenant", "acme", "--url", "http://1.1.1.1"},
	} {
		run(exitFailed, args...)
	}
	log := run(exitOK, "audit", "--tenant", "acme", "--from", yesterday, "--to", string(domain.DayOf(time.Now())))
	for _, action := range []string{"create", "test", "replay", "set", "rotate", "delete"} {
		if !strings.Contains(log, `"action":"webhook.`+action+`"`) {
			t.Errorf("the audit log has no webhook.%s", action)
		}
	}
	if strings.Contains(log, "whsec_") {
		t.Error("the audit log holds a secret")
	}
	for len(arrived) > 0 {
		if err := <-arrived; err != nil {
			t.Error(err)
		}
	}
}
