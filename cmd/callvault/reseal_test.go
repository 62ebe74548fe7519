package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/config"
)

// TestReseal changes the master key of an installation with a webhook.
func TestReseal(t *testing.T) {
	const former, next = "a master key of a good length, for tests", "another master key of a good length, for tests"
	file := filepath.Join(t.TempDir(), "former.key")
	if err := os.WriteFile(file, []byte(former+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := config.Env{"CALLVAULT_DATA": t.TempDir(), "CALLVAULT_MASTER_KEY": former, "CALLVAULT_WEBHOOK_PRIVATE": "on"}
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := callvault(t, env, args...)
		if code != want {
			t.Fatalf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
		return out + errs
	}
	run(exitOK, "migrate", "up")
	run(exitOK, "tenant", "create", "acme")
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(run(exitOK, "webhook", "create", "--tenant", "acme", "--url", "http://127.0.0.1:1/", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	env["CALLVAULT_MASTER_KEY"] = next
	if said := run(exitFailed, "keys", "rotate"); !strings.Contains(said, "CALLVAULT_MASTER_KEY does not open") {
		t.Errorf("it says %s", said)
	}
	if said := run(exitFailed, "keys", "reseal", "--former", file+".not"); !strings.Contains(said, "cannot read the former master key") {
		t.Errorf("it says %s", said)
	}
	run(exitOK, "keys", "reseal", "--former", file)
	if said := run(exitOK, "keys", "reseal", "--former", file, "--json"); !strings.Contains(said, `"secrets": 4`) {
		t.Errorf("it says %s", said)
	}
	run(exitOK, "keys", "rotate")
	env["CALLVAULT_MASTER_KEY"] = former
	run(exitFailed, "keys", "rotate")
}
