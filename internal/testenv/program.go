package testenv

import (
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// programs are the commands of this module that were built, by package.
type programs struct {
	mu    sync.Mutex
	built map[string]*program
}

type program struct {
	once sync.Once
	err  error
	path string
}

// Program builds a command of this module, ./cmd/callvault for example, once per test process and
// returns the program's path.
func Program(t testing.TB, pkg string) string {
	t.Helper()
	all := &shared.programs
	all.mu.Lock()
	p := all.built[pkg]
	if p == nil {
		p = &program{}
		if all.built == nil {
			all.built = map[string]*program{}
		}
		all.built[pkg] = p
	}
	all.mu.Unlock()
	p.once.Do(func() { p.path, p.err = buildProgram(pkg) })
	if p.err != nil {
		t.Fatal("testenv: ", p.err)
	}
	return p.path
}

func buildProgram(pkg string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := shared.directory("program")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, path.Base(pkg))
	cmd := exec.Command("go", "build", "-o", file, pkg)
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, output)
	}
	return file, nil
}

// Start starts cmd in a process group of its own. It does not outlive the test process, however
// that ends; to wait for it is the caller's.
func Start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := shared.onStarter(cmd.Start); err != nil {
		t.Fatalf("testenv: start %s: %v", filepath.Base(cmd.Path), err)
	}
}
