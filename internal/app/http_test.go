package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
)

// serve runs handler in a group and gives its URL, and a function that stops it.
func serve(t *testing.T, handler http.Handler, how StopTimes) (url string, stop func() error) {
	t.Helper()
	s, err := Listen(t.Context(), "api", "127.0.0.1:0", handler, how, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	g := NewGroup(zap.NewNop(), time.Minute)
	g.Add(s.Component(StageAPI))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return "http://" + s.Addr(), func() error { cancel(); return <-done }
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	return string(body), errors.Join(err, res.Body.Close())
}

func TestRunningRequestsEndBeforeTheServer(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	url, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		if r.Context().Err() == nil {
			_, _ = io.WriteString(w, "all of it")
		}
	}), StopTimes{Drain: time.Minute})
	type answer struct {
		body string
		err  error
	}
	got := make(chan answer, 1)
	go func() { body, err := get(t.Context(), url); got <- answer{body, err} }()
	<-started
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(release)
	if a := <-got; a.err != nil || a.body != "all of it" {
		t.Errorf("got %q, %v; want the whole answer", a.body, a.err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestRequestsBeyondTheDrainAreCutOff(t *testing.T) {
	started, cut, failed := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	url, stop := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		cut <- context.Cause(r.Context())
		failed <- <-failed // the client knows: had this returned before, it could have got an empty answer
	}), StopTimes{Drain: time.Millisecond})
	go func() { _, err := get(t.Context(), url); failed <- err }()
	<-started
	if err := stop(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("stop gave %v, want that a request was cut off", err)
	}
	if cause := <-cut; domain.KindOf(cause) != domain.KindInterrupted {
		t.Errorf("the request ended by %v, as if its client had gone away", cause)
	}
	if err := <-failed; err == nil {
		t.Error("the cut request ended cleanly")
	}
}

// A request whose client goes away ends by another cause than one that is cut off.
func TestClientGone(t *testing.T) {
	started, gone := make(chan struct{}), make(chan error, 1)
	url, stop := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		gone <- context.Cause(r.Context())
	}), StopTimes{Drain: time.Minute})
	ctx, goAway := context.WithCancel(t.Context())
	go func() {
		<-started
		goAway()
	}()
	if _, err := get(ctx, url); err == nil {
		t.Error("a client that went away has an answer")
	}
	if cause := <-gone; !errors.Is(cause, context.Canceled) {
		t.Errorf("the cause is %v", cause)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestAStoppingServerAnswers asks a server within the delay of its stop: it answers on the old
// connection and on new ones, and ends each of them.
func TestAStoppingServerAnswers(t *testing.T) {
	s, err := Listen(t.Context(), "api", "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "an answer")
	}), StopTimes{Delay: time.Hour, Drain: 2 * time.Hour}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	client := &http.Client{Transport: &http.Transport{}}
	closes := func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "an answer" {
			t.Errorf("answered %q, error %v", body, err)
		}
		return errors.Join(err, res.Body.Close()) == nil && res.Close
	}
	if closes() {
		t.Error("a running server ends its connections")
	}
	stop()
	for !closes() { // until it has seen the stop
	}
	for range 3 {
		if !closes() {
			t.Error("a stopping server leaves a connection open")
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func TestAPortInUseIsAnErrorAtStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = Listen(t.Context(), "api", taken.Addr().String(), http.NotFoundHandler(), StopTimes{Drain: time.Second}, zap.NewNop())
	if !errors.Is(err, domain.ErrUnavailable) || !strings.Contains(domain.SafeMessage(err), taken.Addr().String()) {
		t.Errorf("got %v, want that the address cannot be listened on", err)
	}
}

func TestAnAbandonedListenerIsFree(t *testing.T) {
	s, err := Listen(t.Context(), "api", "127.0.0.1:0", http.NotFoundHandler(), StopTimes{Drain: time.Second}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	g := NewGroup(zap.NewNop(), time.Second)
	g.Add(s.Component(StageAPI))
	if err := g.Abandon(nil); err != nil {
		t.Error(err)
	}
	again, err := net.Listen("tcp", s.Addr())
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	at := time.Unix(0, 0)
	var broken error
	probes := 0
	h := NewHealth(zap.NewNop(), func() time.Time { return at },
		Check{Name: "catalog", Probe: func(context.Context) error { probes++; return broken }},
		Check{Name: "queue", Probe: func(context.Context) error { return nil }})
	ask := func(handler http.HandlerFunc, wantCode int, want string) {
		t.Helper()
		rec := httptest.NewRecorder()
		handler(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
		var got, wanted any
		if err := errors.Join(json.Unmarshal(rec.Body.Bytes(), &got), json.Unmarshal([]byte(want), &wanted)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wanted, got); d != "" || rec.Code != wantCode {
			t.Errorf("answered %d, want %d; body (-want +got):\n%s", rec.Code, wantCode, d)
		}
	}
	good := `{"status":"ok","checks":{"catalog":{"ok":true},"queue":{"ok":true}}}`
	ask(h.Ready, 200, good)
	broken = domain.Wrap(domain.KindUnavailable, errors.New("dial 10.0.0.7: refused"), "the catalog does not answer")
	ask(h.Ready, 200, good) // within the second
	if probes != 1 {
		t.Errorf("the catalog was asked %d times, want once a second", probes)
	}
	at = at.Add(time.Second)
	ask(h.Ready, 503, `{"status":"unavailable","checks":{"catalog":{"ok":false,"error":"the catalog does not answer"},"queue":{"ok":true}}}`)
	ask(h.Live, 200, `{"status":"ok"}`)
	ask(h.Public("token"), 503, `{"status":"unavailable","checks":{"catalog":{"ok":false},"queue":{"ok":true}}}`)
	ask(h.Public(""), 503, `{"status":"unavailable","checks":{"catalog":{"ok":false},"queue":{"ok":true}}}`)
	asOperator := func(token string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+ReadinessKey("token"))
			h.Public(token)(w, r)
		}
	}
	ask(asOperator("token"), 503, `{"status":"unavailable","checks":{"catalog":{"ok":false,"error":"the catalog does not answer"},"queue":{"ok":true}}}`)
	ask(asOperator("another"), 503, `{"status":"unavailable","checks":{"catalog":{"ok":false},"queue":{"ok":true}}}`)
	ask(asOperator(""), 503, `{"status":"unavailable","checks":{"catalog":{"ok":false},"queue":{"ok":true}}}`)
	broken = nil
	at = at.Add(time.Second)
	ask(h.Ready, 200, good)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Component().Run(ctx); err != nil {
		t.Fatal(err)
	}
	ask(h.Ready, 503, `{"status":"stopping"}`)
	ask(h.Live, 200, `{"status":"ok"}`)
}

// TestHealthOfASilentPart: a check that its time ended says so.
func TestHealthOfASilentPart(t *testing.T) {
	h := NewHealth(zap.NewNop(), time.Now, Check{Name: "clock", Probe: func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		<-ctx.Done()
		return errors.Join(errors.New("ask"), ctx.Err())
	}})
	w := httptest.NewRecorder()
	h.Ready(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
	if text := w.Body.String(); w.Code != http.StatusServiceUnavailable || !strings.Contains(text, `"error":"no answer in time"`) {
		t.Errorf("%d, %s", w.Code, text)
	}
}

// TestUnsentBytesAreFew checks that the kernel takes little more of an answer than the client
// reads.
func TestUnsentBytesAreFew(t *testing.T) {
	written := make(chan int)
	url, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		control, n := http.NewResponseController(w), 0
		for piece := make([]byte, 64<<10); ; {
			_ = control.SetWriteDeadline(time.Now().Add(time.Second))
			sent, err := w.Write(piece)
			if n += sent; err != nil {
				written <- n
				return
			}
		}
	}), StopTimes{Drain: time.Minute})
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	const read = 32 << 20 // so much that the kernel lets the connection have large buffers
	_, err = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if _, e := io.CopyN(io.Discard, c, read); err != nil || e != nil {
		t.Fatal(err, e)
	}
	if ahead := <-written - read; ahead > 1<<20 {
		t.Errorf("%d bytes were taken that the client has not read", ahead)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
