package e2e_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/callvault/callvault/internal/testenv"
)

// leftover lists the files that a process left in its temporary directory.
func leftover(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// alone: no process of p's group is left.
func (p *process) alone() {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, 0); err == nil {
		p.t.Errorf("%s left a process behind", p.name)
	}
}

// TestDemo: the demo shows the night, verifies its own downloads, ends, and leaves nothing.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	p := launch(t, testenv.Program(t), dir, nil, nil, "demo")
	if code := p.code(); code != 0 {
		t.Fatalf("the demo exited with %d", code)
	}
	p.alone()
	if left := leftover(t, dir); len(left) > 0 {
		t.Errorf("the demo left %v", left)
	}
	rows := regexp.MustCompile(`(?m)^(\d\d)\s+(\w+)(.*)$`).FindAllStringSubmatch(p.out.String(), -1)
	states := map[string]int{}
	for _, row := range rows {
		states[row[2]]++
	}
	if len(rows) != 24 || states["available"] == 0 || states["no_data"] == 0 || states["available"]+states["no_data"] != 24 {
		t.Errorf("the table has %d rows: %v", len(rows), states)
	}
	if ok := strings.Count(p.out.String(), ".zip"); ok < states["available"] {
		t.Errorf("%d of %d archives were downloaded", ok, states["available"])
	}
	for _, want := range []string{"revision 2", "has vanished from the store", "downloaded and verified: 36 taken in, and 1 late, without 1 that vanished", "Nothing is left running", p.cmd.Path + " demo --keep"} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
}

// TestDemoKeep: with --keep the demo's server runs until SIGINT.
func TestDemoKeep(t *testing.T) {
	dir := t.TempDir()
	// The demo must ignore the environment of a real installation.
	env := map[string]string{"CALLVAULT_DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "CALLVAULT_LISTEN": "127.0.0.1:1"}
	p := launch(t, testenv.Program(t), dir, env, nil, "demo", "--keep")
	m := p.await(p.out, `stays at (http://\S+) until[\s\S]*with the token \w+\n`)
	for asked, want := range map[[2]string]int{
		{"/readyz"}: http.StatusOK, {"/api/external/conversations/daily-audio-recordings/2025-01-01"}: http.StatusUnauthorized,
		{"/conversations", "test-api-key-123"}: http.StatusOK, {"/conversations", "demo-api-key-456"}: http.StatusOK,
	} {
		path := asked[0]
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m[1]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x-api-key", asked[1])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answers %s", path, resp.Status)
		}
	}
	if token := regexp.MustCompile(`/admin with the token (\w{20,})`).FindStringSubmatch(p.out.String()); token == nil || !strings.Contains(p.out.String(), m[1]+"/docs") {
		t.Errorf("neither console nor documents are named:\n%s", p.out)
	} else {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m[1]+"/api/admin/v1/tenants", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token[1])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("the console's token is answered %s", resp.Status)
		}
	}
	p.signal(syscall.SIGINT)
	if code := p.code(); code != 0 {
		t.Errorf("the demo exited with %d after SIGINT", code)
	}
	p.alone()
	if left := leftover(t, dir); len(left) > 0 {
		t.Errorf("the demo left %v", left)
	}
}

// TestDemoWithoutReader: the demo ends in order when its output is closed early, as head does.
func TestDemoWithoutReader(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), testenv.Program(t), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Contains(errs.String(), "goroutine") {
		t.Errorf("it ended with %v and said %s", err, errs.String())
	}
	if left := leftover(t, dir); len(left) > 0 {
		t.Errorf("the demo left %v", left)
	}
}
