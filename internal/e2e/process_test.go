package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/callvault/callvault/internal/testenv"
)

// output collects what a process prints, and signals when there is more.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// next returns the output so far and a channel that is closed when there is more.
func (o *output) next() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.buf.String(), o.more
}

// process is one running callvault.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  *output
	log  *output
	done chan struct{}
	err  error // after done
}

// launch starts the program with exactly these variables. It is killed when the test ends.
func launch(t testing.TB, bin, dir string, env map[string]string, stdin io.Reader, args ...string) *process {
	t.Helper()
	cmd := exec.Command(bin, args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	for name, value := range env {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return begin(t, cmd)
}

// begin starts a command.
func begin(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: cmd.Args[1], cmd: cmd, out: &output{}, log: &output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.log
	testenv.Start(t, cmd)
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s\n%s", strings.Join(cmd.Args[1:], " "), tail(p.out.String()), tail(p.log.String()))
		}
	})
	return p
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %s: %v", p.name, err)
	}
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.done
}

// code waits for the end and returns the exit code; -1 when a signal killed the process.
func (p *process) code() int {
	p.t.Helper()
	ctx, cancel := testenv.WaitContext(context.WithoutCancel(p.t.Context()), p.t)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.t.Fatalf("%s does not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// term sends SIGTERM and expects exit code 0.
func (p *process) term() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.code(); code != 0 {
		p.t.Errorf("%s exited with %d after SIGTERM", p.name, code)
	}
}

// await waits until o matches and returns the submatches.
func (p *process) await(o *output, pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	ctx, cancel := testenv.WaitContext(context.WithoutCancel(p.t.Context()), p.t)
	defer cancel()
	for {
		text, more := o.next()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-more:
		case <-p.done:
			if m := re.FindStringSubmatch(o.String()); m != nil {
				return m
			}
			p.t.Fatalf("%s ended (%v) before it said %s", p.name, p.err, pattern)
		case <-ctx.Done():
			p.t.Fatalf("%s does not say %s", p.name, pattern)
		}
	}
}

// serving waits until a role listens and returns its address.
func (p *process) serving() string {
	p.t.Helper()
	return p.await(p.log, `"callvault serves","url":"http://([^"]+)"`)[1]
}

// eventually calls found until it returns no complaint.
func eventually(t testing.TB, what string, found func(ctx context.Context) string) {
	t.Helper()
	testenv.UntilNothing(t, what, found)
}
