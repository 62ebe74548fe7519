package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/evidence"
)

func TestLog(t *testing.T) {
	env := config.Env{"CALLVAULT_DATA": t.TempDir()}
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := callvault(t, env, args...)
		if code != want {
			t.Fatalf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
		return out + errs
	}
	run(exitOK, "migrate", "up")
	key := run(exitOK, "log", "key")
	if keys, err := evidence.ParseKeys(key); err != nil || !strings.HasPrefix(key, "callvault/") || len(keys) != 1 {
		t.Errorf("the key is %q: %v", key, err)
	}
	next := run(exitOK, "log", "rotate")
	if both := run(exitOK, "log", "key"); both != next+key {
		t.Errorf("after a rotation the keys are %q", both)
	}
	run(exitOK, "keys", "rotate")
	file := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(key)
	if said := run(exitOK, "log", "key", "--trust", file); !strings.Contains(said, "not known before: 0 keys") || !strings.Contains(said, next+key) {
		t.Errorf("it says %s", said)
	}
	write(strings.ReplaceAll(key, "callvault/", "other/"))
	if said := run(exitFailed, "log", "key", "--trust", file); !strings.Contains(said, "no public key") && !strings.Contains(said, "of another log") {
		t.Errorf("it says %s", said)
	}
	if said := run(exitFailed, "log", "verify", "--since", file); !strings.Contains(said, "the kept checkpoint is none that a known key of this log has signed") {
		t.Errorf("it says %s", said)
	}
	var report evidence.Report
	if err := json.Unmarshal([]byte(run(exitOK, "log", "verify", "--json")), &report); err != nil || report.Findings == nil || report.Waiting == 0 {
		t.Errorf("%+v, error %v", report, err)
	}
	if said := run(exitOK, "log", "verify"); !strings.HasPrefix(said, "the log is sound\n") {
		t.Errorf("it says %s", said)
	}
}
