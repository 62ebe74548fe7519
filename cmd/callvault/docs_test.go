package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/client"
)

// TestRecordingsPageRuns runs every bash line of the page for tenants as it is printed.
func TestRecordingsPageRuns(t *testing.T) {
	page, err := os.ReadFile("../../docs/recordings-api.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for i, block := range strings.Split(string(page), "```bash\n") {
		if code, _, ok := strings.Cut(block, "```"); ok && i > 0 {
			script.WriteString(code)
		}
	}
	if script.Len() == 0 {
		t.Fatal("the page has no bash lines")
	}
	s := newPulled(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CALLVAULT_URL="+s.env["CALLVAULT_URL"], "CLIENT_ID="+s.env["CALLVAULT_CLIENT_ID"],
		"CLIENT_SECRET="+s.env["CALLVAULT_CLIENT_SECRET"], "DAY="+s.day)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(strings.ToLower(string(out)), "x-ratelimit-remaining: 99") {
		t.Errorf("no limit in\n%s", out)
	}
	for _, hour := range []string{"09", "14"} {
		r, err := client.VerifyFile(filepath.Join(dir, hour+".zip"))
		if err != nil || !r.OK() {
			t.Errorf("hour %s: %v %v", hour, err, r.Problems)
		}
	}
}
