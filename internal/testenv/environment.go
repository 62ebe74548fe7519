package testenv

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// shared is what the tests of one process have in common. It is the package's
// only state, and global because tests of one package know nothing of each
// other but the process they run in.
var shared environment

// environment owns the process's temporary directory, its shared servers and
// the thread that starts children.
type environment struct {
	mu         sync.Mutex
	dir        string   // holds one directory per server; empty until the first
	reaperPipe *os.File // the reaper removes dir, and what has its name in memory, when this closes
	reaper     *exec.Cmd
	starter    chan func()
	servers    []*server

	redis    sharedRedis
	postgres sharedPostgres
	minio    sharedMinIO
	program  sharedProgram
}

// Main runs a package's tests, ends every server that they started, removes
// their directories and exits. Call it as the last statement of TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv: "+err.Error())
		code = max(code, 1)
	}
	os.Exit(code)
}

// directory makes a new directory for a server.
func (e *environment) directory(name string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dir == "" {
		if err := e.makeRoot(); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(e.dir, name+"-")
	if err != nil {
		return "", fmt.Errorf("make a directory for %s: %w", name, err)
	}
	return dir, nil
}

// memory is a file system in memory. Other ones are slow at what tests do: before ext4 gives a new
// file an inode, it looks at each one that was deleted within the last half minute.
const memory = "/dev/shm"

// enoughMemory are the bytes that must be free there: two packages are tested at a time, and each
// has less than a gigabyte of databases and log.
const enoughMemory = 4 << 30

// inMemory is [environment.directory] in memory, where there is enough.
func (e *environment) inMemory(name string) (string, error) {
	dir, err := e.directory(name)
	var free syscall.Statfs_t
	if err != nil || syscall.Statfs(memory, &free) != nil || free.Bavail*uint64(free.Bsize) < enoughMemory {
		return dir, err
	}
	root := filepath.Join(memory, filepath.Base(e.dir))
	dir = filepath.Join(root, filepath.Base(dir))
	return dir, errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(root, 0o711))
}

// makeRoot makes the process's temporary directory and starts its reaper: a shell that waits until
// this process has ended, however that happens, and then removes the directory. It retries while
// ending servers still write there.
func (e *environment) makeRoot() error {
	dir, err := os.MkdirTemp("", "callvault-test-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	// PostgreSQL may run as another user, who must be able to enter.
	if err := os.Chmod(dir, 0o711); err != nil {
		return errors.Join(fmt.Errorf("open a temporary directory: %w", err), os.RemoveAll(dir))
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("make the reaper's pipe: %w", err), os.RemoveAll(dir))
	}
	const script = `cat >/dev/null
n=0
until rm -rf -- "$@" 2>/dev/null || [ "$n" -ge 100 ]; do n=$((n+1)); sleep 0.1; done`
	reaper := exec.Command("/bin/sh", "-c", script, "reaper", dir, filepath.Join(memory, filepath.Base(dir)))
	reaper.Dir = "/"
	reaper.Stdin = reader
	reaper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := errors.Join(reaper.Start(), reader.Close()); err != nil {
		return errors.Join(fmt.Errorf("start the reaper: %w", err), writer.Close(), os.RemoveAll(dir))
	}
	e.dir, e.reaperPipe, e.reaper = dir, writer, reaper
	return nil
}

// onStarter runs f on the thread that starts every child. The kernel ends a
// child when the thread that started it ends, not the process, so that thread
// must live as long as the process.
func (e *environment) onStarter(f func() error) error {
	e.mu.Lock()
	if e.starter == nil {
		jobs := make(chan func())
		e.starter = jobs
		go func() {
			runtime.LockOSThread()
			for job := range jobs {
				job()
			}
		}()
	}
	jobs := e.starter
	e.mu.Unlock()
	result := make(chan error, 1)
	jobs <- func() { result <- f() }
	return <-result
}

func (e *environment) own(s *server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.servers = append(e.servers, s)
}

// close ends all shared servers and waits until the directories are gone.
func (e *environment) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, s := range e.servers {
		errs = append(errs, s.stop())
	}
	e.servers = nil
	if e.dir == "" {
		return errors.Join(errs...)
	}
	errs = append(errs, e.reaperPipe.Close(), e.reaper.Wait())
	e.dir = ""
	return errors.Join(errs...)
}

// secret returns a random password made of letters and digits.
func secret() string { return rand.Text() }

// logPath is where a server's output goes, in its own directory.
func logPath(dir string) string { return filepath.Join(dir, "output.log") }
