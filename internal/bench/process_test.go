package bench_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is the resident memory of a process, in bytes.
type memory struct{ now, peak int64 }

// memoryOf asks the kernel about a process: a number, or "self".
func memoryOf(process string) (memory, error) {
	status, err := os.ReadFile(filepath.Join("/proc", process, "status"))
	if err != nil {
		return memory{}, err
	}
	value := func(name string) int64 {
		_, rest, _ := strings.Cut(string(status), "\n"+name+":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return 0 // it has ended
		}
		kib, convErr := strconv.ParseInt(fields[0], 10, 64)
		err = errors.Join(err, convErr)
		return kib << 10
	}
	m := memory{now: value("VmRSS"), peak: value("VmHWM")}
	return m, err
}

// forgetPeak sets a process's peak to its current memory.
func forgetPeak(process string) error {
	return os.WriteFile(filepath.Join("/proc", process, "clear_refs"), []byte("5"), 0)
}

// inChild does a job in a process of its own. whole is the wall time of that process from start to
// end.
func inChild(t testing.TB, j job) (o outcome, whole time.Duration) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	started := time.Now()
	err = cmd.Run()
	whole = time.Since(started)
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &o)
	}
	if err == nil && o.Failure != "" {
		err = errors.New(o.Failure)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return o, whole
}

// watched runs another program and measures its memory.
func watched(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	started := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var o outcome
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			if m, err := memoryOf(strconv.Itoa(cmd.Process.Pid)); err == nil {
				o.Peak = max(o.Peak, m.peak)
			}
			select {
			case <-ended:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	})
	err := cmd.Wait()
	o.Wall = time.Since(started)
	close(ended)
	watch.Wait()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(cmd.Path), err, output.String())
	}
	o.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return o
}

// start starts a role of the program and gives its process, and a channel that is closed when it
// ends; the test's end ends it, in order.
func (f *fixture) start(binary, role string, env []string) (pid int, ended <-chan struct{}) {
	f.Helper()
	cmd := exec.Command(binary, role)
	cmd.Env = env
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	f.must(cmd.Start())
	done := make(chan struct{})
	var exit error
	go func() {
		exit = cmd.Wait()
		close(done)
	}()
	f.Cleanup(func() {
		err := cmd.Process.Signal(os.Interrupt)
		<-done
		if err := errors.Join(err, exit); err != nil {
			f.Errorf("callvault %s: %v", role, err)
		}
		if f.Failed() {
			f.Logf("callvault %s said:\n%s", role, output.String())
		}
	})
	return cmd.Process.Pid, done
}

// installed looks for a program in PATH and in the repository's bin/.
func installed(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		return "", false
	}
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().Perm()&0o111 != 0
}

func mebi(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
