package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyTimeout = time.Minute // of one check; there is no limit to the number of checks
	startTries   = 5           // a port can be taken between choosing and binding it
)

// server is one service: a command, its port, its directory and, while it
// runs, its process. Stopped and started again it keeps its port and its data.
type server struct {
	name    string
	dir     string
	port    int
	command func(port int) *exec.Cmd
	ready   func(ctx context.Context) error
	crash   syscall.Signal // ends it at once, as a crash would
	attr    *syscall.Credential

	mu   sync.Mutex
	proc *process
}

// process is one run of a server's command.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
	err  error         // valid after done
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// start starts the server and returns when it answers. The first start
// chooses the port.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		return nil
	}
	if s.port != 0 {
		return s.launch()
	}
	var err error
	for range startTries {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.launch(); err == nil {
			return nil
		}
	}
	return err
}

func (s *server) launch() error {
	output, err := os.OpenFile(logPath(s.dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	cmd := s.command(s.port)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.attr}
	endWithParent(cmd.SysProcAttr, s.crash)
	if err := errors.Join(shared.onStarter(cmd.Start), output.Close()); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	proc := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		proc.err = cmd.Wait()
		close(proc.done)
	}()
	s.proc = proc
	if err := s.await(proc); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w\n%s", s.name, err, s.output()), s.end())
	}
	return nil
}

// await polls until the server answers. It gives up when the child has ended,
// for then whatever answers on the port is somebody else's server.
func (s *server) await(proc *process) error {
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		err := s.ready(ctx)
		cancel()
		select {
		case <-proc.done:
			return fmt.Errorf("it ended by itself: %w", errors.Join(proc.err, err))
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-proc.done:
		case <-pause.C:
		}
	}
}

// stop ends the server as a crash would; its data stays.
func (s *server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end()
}

func (s *server) end() error {
	if s.proc == nil {
		return nil
	}
	proc := s.proc
	s.proc = nil
	// A frozen process takes no signal but SIGKILL.
	for _, sig := range []syscall.Signal{syscall.SIGCONT, s.crash} {
		if err := signalGroup(proc.cmd, sig); err != nil {
			return fmt.Errorf("stop %s: %w", s.name, err)
		}
	}
	<-proc.done
	return nil
}

func (s *server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return fmt.Errorf("signal %s: it is not running", s.name)
	}
	return signalGroup(s.proc.cmd, sig)
}

// signalGroup signals a child and its own children. It is no error when it has ended.
func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	err := syscall.Kill(-cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// alive says whether a shared server still runs.
func (s *server) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return fmt.Errorf("%s has been stopped", s.name)
	}
	select {
	case <-s.proc.done:
		return fmt.Errorf("%s ended by itself: %w\n%s", s.name, s.proc.err, s.output())
	default:
		return nil
	}
}

// output returns the last of what the server printed.
func (s *server) output() string {
	const most = 4 << 10
	data, err := os.ReadFile(logPath(s.dir))
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-most):])
}

// private ends the server and removes its directory at the test's end.
func (s *server) private(t testing.TB) {
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", s.name, s.output())
		}
		if err := os.RemoveAll(filepath.Clean(s.dir)); err != nil {
			t.Error(err)
		}
	})
}

// freePort returns a loopback port that nobody listens on. It is taken from
// below the range that the kernel hands out by itself, so that a stopped
// server finds its port free when it starts again.
func freePort() (int, error) {
	const low, high = 12000, 32000
	var last error
	for range 100 {
		port := low + rand.IntN(high-low)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("find a free port: %w", last)
}

// Private is a server that one test owns. Its methods fail the test when they can't do what they
// say.
type Private struct {
	t      testing.TB
	server *server
}

// Addr is the server's host:port; it stays the same over Stop and Start.
func (p *Private) Addr() string { return p.server.addr() }

// Stop ends the server at once, as a crash would; its data stays. Stopping a
// stopped server does nothing.
func (p *Private) Stop() {
	p.t.Helper()
	p.check(p.server.stop())
}

// Start starts a stopped server on the same port and data, and returns when
// it answers. Starting a running server does nothing.
func (p *Private) Start() {
	p.t.Helper()
	p.check(p.server.start())
}

// Pause freezes the server: it accepts connections and does not answer.
func (p *Private) Pause() {
	p.t.Helper()
	p.check(p.server.signal(syscall.SIGSTOP))
}

// Resume lets a frozen server go on.
func (p *Private) Resume() {
	p.t.Helper()
	p.check(p.server.signal(syscall.SIGCONT))
}

func (p *Private) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal("testenv: ", err)
	}
}
