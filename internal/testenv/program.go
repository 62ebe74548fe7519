package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Version is the version of built programs.
const Version = "0.0.0-test"

// sharedProgram is callvault's program, which is built once.
type sharedProgram struct {
	once sync.Once
	err  error
	path string
}

// Program builds callvault once per test process, as the image's build does, and returns the
// program's path.
func Program(t testing.TB) string {
	t.Helper()
	p := &shared.program
	p.once.Do(func() {
		var root string
		if root, p.err = moduleRoot(); p.err == nil {
			p.path, p.err = build(root, os.Getenv("GOFLAGS"))
		}
	})
	if p.err != nil {
		t.Fatal("testenv: ", p.err)
	}
	return p.path
}

// Build builds callvault from the sources in root, as the Dockerfile there does, with further flags
// of the go command, and returns the program's path.
func Build(t testing.TB, root string, flags ...string) string {
	t.Helper()
	path, err := build(root, os.Getenv("GOFLAGS")+" "+strings.Join(flags, " "))
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	return path
}

// build runs the Dockerfile's line that builds the program, with another output path. The go
// command also takes flags from the environment.
func build(root, flags string) (string, error) {
	const target = " -o /callvault "
	text, err := os.ReadFile(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		return "", fmt.Errorf("how to build callvault: %w", err)
	}
	line := ""
	for l := range strings.Lines(string(text)) {
		if run, found := strings.CutPrefix(l, "RUN "); found && strings.Contains(run, target) {
			line = strings.Replace(run, target, ` -o "$CALLVAULT_PROGRAM" `, 1)
		}
	}
	if line == "" {
		return "", errors.New("deploy/Dockerfile has no RUN line with" + target)
	}
	dir, err := shared.directory("program")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "callvault")
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS="+flags, "VERSION="+Version, "CALLVAULT_PROGRAM="+path)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.TrimSpace(line), err, output)
	}
	return path, nil
}

// Start starts cmd in a process group of its own. On Linux the kernel ends it with the test
// process. The caller must wait for it.
func Start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	endWithParent(cmd.SysProcAttr, syscall.SIGKILL)
	if err := shared.onStarter(cmd.Start); err != nil {
		t.Fatalf("testenv: start %s: %v", filepath.Base(cmd.Path), err)
	}
}
