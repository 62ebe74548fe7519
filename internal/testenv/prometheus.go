package testenv

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// Installed returns the path of a program that a test runs to its end.
func Installed(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	return path
}

// PrometheusServer is a Prometheus that one test owns.
type PrometheusServer struct{ Private }

// NewPrometheus starts a Prometheus with a configuration file.
func NewPrometheus(t testing.TB, config string) *PrometheusServer {
	t.Helper()
	binary := Installed(t, "prometheus")
	dir, err := shared.directory("prometheus")
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	p := &PrometheusServer{}
	p.server = &server{
		name: "prometheus", dir: dir, crash: syscall.SIGKILL,
		command: func(port int) *exec.Cmd {
			return exec.Command(binary, "--config.file", config, "--storage.tsdb.path", dir+"/data",
				"--web.listen-address", "127.0.0.1:"+strconv.Itoa(port), "--log.level", "warn")
		},
		ready: func(ctx context.Context) error { return answers(ctx, p.URL()+"/-/ready") },
	}
	if err := p.server.start(); err != nil {
		t.Fatal("testenv: ", err)
	}
	p.t = t
	p.server.private(t)
	return p
}

// URL is the server's URL.
func (p *PrometheusServer) URL() string { return "http://" + p.Addr() }

func answers(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, a.Status)
	}
	return nil
}
