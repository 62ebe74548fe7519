package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/internal/web"
)

// pipeListener accepts connections in memory, so that a test can run with synthetic time.
type pipeListener struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipeListener) Close() error   { close(p.closed); return nil }
func (p *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// sendSlowly sends a request's head and then one byte every interval, or none when that is 0. It
// gives the answer's status, after what time the answer came, and after what time the connection
// ended, which is an hour at most.
func sendSlowly(t *testing.T, family web.Family, head string, interval time.Duration) (status int, answered, ended time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		handler := api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now})
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		go func() { _ = server.Serve(l) }()
		defer func() { _ = server.Close() }()
		near, far := net.Pipe()
		var sender sync.WaitGroup
		defer sender.Wait()
		defer near.Close()
		l.accept <- far
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { _ = near.Close() })
		defer stop()
		if _, err := io.WriteString(near, head); err != nil {
			t.Fatal(err)
		}
		if interval > 0 {
			sender.Go(func() {
				for {
					if _, err := near.Write([]byte("a")); err != nil {
						return
					}
					time.Sleep(interval)
				}
			})
		}
		in := bufio.NewReader(near)
		if res, err := http.ReadResponse(in, nil); err == nil {
			status, answered = res.StatusCode, time.Since(start)
			_, _ = io.Copy(io.Discard, res.Body)
		}
		_, _ = io.Copy(io.Discard, in)
		ended = time.Since(start)
	})
	return status, answered, ended
}

// TestSlowBodies announces bodies and does not send them, or too slowly.
func TestSlowBodies(t *testing.T) {
	reads := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}
	refuses := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	for name, c := range map[string]struct {
		serve    http.HandlerFunc
		streams  bool
		interval time.Duration
		status   int
		answered time.Duration // at most
	}{
		"read, silent":            {reads, false, 0, 400, 31 * time.Second},
		"read, a byte now":        {reads, false, 5 * time.Second, 400, 31 * time.Second},
		"refused, silent":         {refuses, false, 0, 401, time.Second},
		"refused, a byte now":     {refuses, false, 100 * time.Millisecond, 401, time.Second},
		"stream, silent":          {reads, true, 0, 400, 3 * time.Minute},
		"stream, a byte now":      {reads, true, 5 * time.Second, 400, 3 * time.Minute},
		"stream refused, silent":  {refuses, true, 0, 401, time.Second},
		"stream refused, a byte ": {refuses, true, 5 * time.Second, 401, time.Second},
	} {
		for _, length := range []string{"Content-Length: 100000", "Content-Length: 900000", "Transfer-Encoding: chunked"} {
			t.Run(name+" "+length, func(t *testing.T) {
				family := web.Family{Name: "f", Owns: func(string) bool { return true }, Handler: c.serve, Streams: c.streams,
					Fail: func(w http.ResponseWriter, _ *http.Request, status int) { w.WriteHeader(status) }}
				head, interval := "POST /f HTTP/1.1\r\nHost: x\r\n"+length+"\r\n\r\n", c.interval
				if strings.HasPrefix(length, "T") {
					head += "186a0\r\n"
				}
				status, answered, ended := sendSlowly(t, family, head, interval)
				if status != c.status || answered > c.answered || ended > c.answered+5*time.Second {
					t.Errorf("%d after %s, ended after %s", status, answered, ended)
				}
			})
		}
	}
}

// A body that was read to its end has no deadline any more: the handler may go on for long.
func TestNoDeadlineAfterTheBody(t *testing.T) {
	family := web.Family{Name: "f", Owns: func(string) bool { return true }, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusTeapot)
		case <-time.After(10 * time.Minute):
			w.Header().Set("Content-Length", "0")
		}
	}), Fail: func(w http.ResponseWriter, _ *http.Request, status int) { w.WriteHeader(status) }}
	for _, streams := range []bool{false, true} {
		family.Streams = streams
		status, answered, ended := sendSlowly(t, family, "POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 0)
		if status != 200 || answered != 10*time.Minute || ended < 30*time.Minute { // the connection stays open
			t.Errorf("streams %v: %d after %s, ended after %s", streams, status, answered, ended)
		}
	}
}

// An answer that is sent before the body was read reaches a caller that reads it only after it has
// sent everything, whether or not the connection is closed then.
func TestEarlyResponses(t *testing.T) {
	const size = 24 << 20 // more than the buffers of both ends hold
	refusing := web.Family{Name: "refusing", Owns: web.Under("/refusing"), Streams: true, Fail: failed,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { failed(w, r, http.StatusServiceUnavailable) })}
	bounded := web.Family{Name: "bounded", Owns: web.Under("/bounded"), Fail: failed, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := web.Body(r, web.MaxBody); err != nil {
			failed(w, r, http.StatusRequestEntityTooLarge)
		}
	})}
	server := httptest.NewServer(api.New(api.Config{}, api.Deps{Families: []api.Family{refusing, bounded}, Log: zap.NewNop(), Now: time.Now}))
	defer server.Close()
	for head, want := range map[string]int{
		"PUT /refusing HTTP/1.1\r\n":                      503,
		"PUT /refusing HTTP/1.1\r\nConnection: close\r\n": 503,
		"PUT /refusing HTTP/1.0\r\n":                      503,
		"PUT /bounded HTTP/1.1\r\nConnection: close\r\n":  413,
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "%sHost: vault.test\r\nContent-Length: %d\r\n\r\n", head, size)
		piece := make([]byte, 64<<10)
		for sent := 0; sent < size && err == nil; sent += len(piece) {
			_, err = conn.Write(piece)
		}
		if err != nil {
			t.Errorf("%q: the body could not be sent: %v", head, err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: no answer came: %v", head, err)
		} else if answer.StatusCode != want {
			t.Errorf("%q: answered %d, want %d", head, answer.StatusCode, want)
		}
		_ = conn.Close()
	}
}

func failed(w http.ResponseWriter, r *http.Request, status int) {
	web.JSON(w, r, status, map[string]string{"error": http.StatusText(status)})
}
