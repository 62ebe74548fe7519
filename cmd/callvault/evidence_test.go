package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/client/evidence"
)

// What has no number in the log gets one within a minute, or never.
func TestUnplacedLines(t *testing.T) {
	if text := evidenceText(&evidence.Manifest{Tenant: "acme", Unplaced: 2}, "out"); !strings.Contains(text, "2 more had no number") || !strings.Contains(text, "callvault log verify") {
		t.Error(text)
	}
}

// TestEvidence makes a pack of an installation and checks it.
func TestEvidence(t *testing.T) {
	data := "--data=" + filepath.Join(t.TempDir(), "data")
	out := filepath.Join(t.TempDir(), "pack")
	for _, args := range [][]string{{"migrate", "up"}, {"tenant", "create", "acme"}, {"tenant", "set", "acme", "--retention-days", "9"}} {
		if code, _, errs := callvault(t, nil, append(args, data)...); code != exitOK {
			t.Fatal(errs)
		}
	}
	run := func(want int, words string, args ...string) {
		t.Helper()
		code, out, errs := callvault(t, nil, args...)
		if code != want || !strings.Contains(out+errs, words) {
			t.Errorf("%v: exit %d, printed %q and %q; want %q", args, code, out, errs, words)
		}
	}
	pack := func(tenant, from, to string) []string {
		return []string{"evidence", "--tenant", tenant, "--from", from, "--to", to, "--out", out, data}
	}
	run(exitUsage, "lies before --from", pack("acme", "today", "yesterday")...)
	run(exitFailed, `"nobody"`, pack("nobody", "today", "today")...)
	run(exitOK, "has 2 lines and 0 seals of acme", pack("acme", "today", "today")...)
	run(exitFailed, "exists already", pack("acme", "today", "today")...)
	keys := filepath.Join(out, "log-keys.txt")
	run(exitOK, "proven by a checkpoint of the log callvault/", "verify", out, "--log-key", keys)
	run(exitOK, "proven by a checkpoint of the log callvault/", "verify", filepath.Dir(out), "--log-key", keys)
	run(exitOK, "only keys of the pack itself have checked the log's signature, so nothing is proven", "verify", out)
	path := filepath.Join(out, "lines.ndjson")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `:9`, `:8`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(exitFailed, `"lines.ndjson" line 2: It was changed`, "verify", out, "--log-key", keys)
	if lines := auditLog(t, "acme", "evidence.export", data); len(lines) != 1 || !strings.HasPrefix(lines[0], "command ") || !strings.Contains(lines[0], `"lines":2,"seals":0,"manifest":"`) {
		t.Errorf("audit log: %v", lines)
	}

	// Of a deleted tenant too, with the line of its deletion.
	run(exitOK, "", "tenant", "close", "acme", "--reason", "it left", "--yes", data)
	run(exitOK, "", "tenant", "delete", "acme", "--yes", data)
	out = filepath.Join(t.TempDir(), "deleted")
	run(exitOK, "has 5 lines and 0 seals of acme", pack("acme", "today", "today")...)
	run(exitOK, "proven by a checkpoint", "verify", out, "--log-key", filepath.Join(out, "log-keys.txt"))

	// And of the installation, whose lines are of no tenant.
	out = filepath.Join(t.TempDir(), "installation")
	run(exitOK, "key", "log", "rotate", "--json", data)
	run(exitOK, "of the installation", "evidence", "--from", "today", "--to", "today", "--out", out, data)
	run(exitOK, "evidence of the installation, ", "verify", out, "--log-key", filepath.Join(out, "log-keys.txt"))
	text, err = os.ReadFile(filepath.Join(out, "lines.ndjson"))
	if err != nil || !strings.Contains(string(text), `"log.rotate"`) || strings.Contains(string(text), `"tenant.create"`) {
		t.Errorf("lines of the installation: %s, error %v", text, err)
	}
}
