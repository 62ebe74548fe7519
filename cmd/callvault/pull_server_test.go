package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/testenv"
)

// pullServer is a standalone callvault in another process, with a day of tenant acme. A proxy in
// front of it counts downloads, and can stop them. Its public URL has a path, which the proxy
// passes on.
type pullServer struct {
	t          *testing.T
	program    string
	dir        string // of the server and its input
	data       string
	day, today string
	env        config.Env // for pull

	mu    sync.Mutex
	held  map[string]*heldDownload
	bytes map[string]int64
	count map[string]int
}

// heldDownload stops a download after some bytes.
type heldDownload struct {
	after   int64
	reached chan struct{}
	ended   chan struct{}
	once    sync.Once
	end     func()
}

func newPullServer(t *testing.T) *pullServer {
	t.Helper()
	now := time.Now().UTC()
	s := &pullServer{t: t, program: testenv.Program(t), dir: t.TempDir(), held: map[string]*heldDownload{},
		today: now.Format(time.DateOnly), day: now.AddDate(0, 0, -1).Format(time.DateOnly)}
	s.data = filepath.Join(s.dir, "data")
	s.reset()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(s.proxy(address))
	t.Cleanup(proxy.Close)
	public := proxy.URL + "/vault"
	s.serve(address, public)
	s.run("tenant", "create", "acme", "--feature", "daily_audio_recordings")
	s.run("tenant", "set", "acme", "--day-limit", "100", "--download-limit", "100")
	var app struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(s.run("app", "create", "--tenant", "acme", "--json"), &app); err != nil {
		t.Fatal(err)
	}
	s.env = config.Env{"CALLVAULT_URL": public, "CALLVAULT_CLIENT_ID": app.ID, "CALLVAULT_CLIENT_SECRET": app.Secret}
	s.record(recording{"09:15:00", "a.opus", 1000}, recording{"14:30:00", "b.opus", 3 << 20})
	s.run("archive", "--tenant", "acme", "--day", s.day, "--wait")
	return s
}

// serve starts the server and waits until it listens.
func (s *pullServer) serve(address, public string) {
	cmd := s.command("standalone", "--listen", address)
	cmd.Env = append(cmd.Env, "CALLVAULT_PUBLIC_URL="+public, "CALLVAULT_LATE_DELAY=0s", "CALLVAULT_LOG_LEVEL=error")
	cmd.Stderr = s.t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	testenv.Start(s.t, cmd)
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // Wait reports it when the process has ended already
		if err := cmd.Wait(); err != nil {
			s.t.Error("the server: ", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.Contains(line, "callvault serves") {
		s.t.Fatalf("the server says %q, %v", line, err)
	}
}

func (s *pullServer) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Env = append(os.Environ(), "CALLVAULT_DATA="+s.data)
	return cmd
}

// run runs a command while the server runs.
func (s *pullServer) run(args ...string) []byte {
	s.t.Helper()
	cmd := s.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("callvault %v: %v\n%s\n%s", args, err, out, stderr.Bytes())
	}
	return out
}

// start starts a pull in another process.
func (s *pullServer) start(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(s.program, args...)
	cmd.Env = os.Environ()
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	testenv.Start(s.t, cmd)
	return cmd
}

// recording is a recording of the day.
type recording struct {
	at, name string
	size     int
}

// record imports recordings.
func (s *pullServer) record(list ...recording) {
	s.t.Helper()
	audio := filepath.Join(s.dir, "audio")
	if err := os.MkdirAll(filepath.Join(audio, "k"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	var lines bytes.Buffer
	for i, r := range list {
		content := make([]byte, r.size)
		random := rand.NewChaCha8([32]byte{byte(r.size), byte(i)})
		if _, err := random.Read(content); err != nil {
			s.t.Fatal(err)
		}
		save(s.t, filepath.Join(audio, "k"), r.name, content)
		_, _ = fmt.Fprintf(&lines, `{"kind":"recording","conversationId":"c1","sessionId":"s1","messageId":%d,"type":"user","timestamp":"%sT%sZ","objectKey":"k/%s"}`+"\n",
			i+1, s.day, r.at, r.name)
	}
	s.run("import", "--tenant", "acme", "--audio", audio, save(s.t, s.dir, "day.ndjson", lines.Bytes()))
}

// addLateRecording imports a recording of hour 14 after its archive was built, and waits for the
// next revision.
func (s *pullServer) addLateRecording() {
	s.t.Helper()
	s.record(recording{"14:45:00", "late.opus", 500})
	s.run("archive", "--tenant", "acme", "--day", s.day, "--wait")
}

func (s *pullServer) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes, s.count = map[string]int64{}, map[string]int{}
}

func (s *pullServer) sent(hour string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes[hour]
}

func (s *pullServer) asked(hour string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[hour]
}

// holdDownload stops the hour's downloads after some bytes, until end is called.
func (s *pullServer) holdDownload(hour string, after int64) *heldDownload {
	h := &heldDownload{after: after, reached: make(chan struct{}), ended: make(chan struct{})}
	h.end = sync.OnceFunc(func() {
		close(h.ended)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.held, hour)
	})
	s.t.Cleanup(h.end)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[hour] = h
	return h
}

// proxy forwards everything to the server at address.
func (s *pullServer) proxy(address string) http.Handler {
	pass := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: address})
	}}
	mux := http.NewServeMux()
	mux.Handle("/vault/", pass)
	mux.HandleFunc("GET /vault/api/external/conversations/daily-audio-recordings/{day}/{hour}/download", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			s.t.Error("a link was asked with the access token")
		}
		hour := r.PathValue("hour")
		s.mu.Lock()
		s.count[hour]++
		held := s.held[hour]
		s.mu.Unlock()
		pass.ServeHTTP(&meteredWriter{ResponseWriter: w, ctx: r.Context(), server: s, hour: hour, held: held}, r)
	})
	return mux
}

// meteredWriter counts the bytes of a download, and stops it.
type meteredWriter struct {
	http.ResponseWriter
	ctx    context.Context
	server *pullServer
	hour   string
	held   *heldDownload
	n      int64
}

// Unwrap is for http.ResponseController.
func (m *meteredWriter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

func (m *meteredWriter) Write(b []byte) (int, error) {
	if m.held != nil && m.n+int64(len(b)) > m.held.after {
		if _, err := m.pass(b[:m.held.after-m.n]); err != nil {
			return 0, err
		}
		if err := http.NewResponseController(m.ResponseWriter).Flush(); err != nil {
			return 0, err
		}
		m.held.once.Do(func() { close(m.held.reached) })
		select {
		case <-m.ctx.Done():
		case <-m.held.ended:
		}
		return 0, io.ErrClosedPipe
	}
	return m.pass(b)
}

func (m *meteredWriter) pass(b []byte) (int, error) {
	n, err := m.ResponseWriter.Write(b)
	m.n += int64(n)
	m.server.mu.Lock()
	m.server.bytes[m.hour] += int64(n)
	m.server.mu.Unlock()
	return n, err
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// waitForSize waits until another process has written n bytes of a file.
func waitForSize(t testing.TB, path string, n int64) {
	t.Helper()
	for {
		if info, err := os.Stat(path); err == nil && info.Size() >= n {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the test ends")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
