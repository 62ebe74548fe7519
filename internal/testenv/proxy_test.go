package testenv_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/testenv"
)

const proxyBody = 100_000

// fetch gets the body with a connection of its own.
func fetch(url string) (int, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(response.Body)
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	return len(body), err
}

func newProxy(t *testing.T) *testenv.Proxy {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", proxyBody)) // the client may have been cut off
	}))
	t.Cleanup(server.Close)
	return testenv.NewProxy(t, server.URL)
}

func TestProxyPassesAndCuts(t *testing.T) {
	proxy := newProxy(t)
	if n, err := fetch(proxy.URL()); n != proxyBody || err != nil {
		t.Fatalf("untouched: %d bytes, %v", n, err)
	}
	proxy.Cut()
	if _, err := fetch(proxy.URL()); err == nil {
		t.Error("a cut proxy answers")
	}
	proxy.Restore()
	if n, err := fetch(proxy.URL()); n != proxyBody || err != nil {
		t.Errorf("restored: %d bytes, %v", n, err)
	}
}

func TestProxyBreaksABody(t *testing.T) {
	proxy := newProxy(t)
	proxy.BreakAfter(50_000)
	n, err := fetch(proxy.URL())
	if err == nil || n >= proxyBody {
		t.Errorf("broken: %d bytes, %v", n, err)
	}
	if n, err := fetch(proxy.URL()); n != proxyBody || err != nil {
		t.Errorf("after the break: %d bytes, %v", n, err)
	}
}

func TestProxyStallsAndDelays(t *testing.T) {
	proxy, other := newProxy(t), newProxy(t)
	proxy.Stall()
	done := make(chan error, 1)
	go func() {
		_, err := fetch(proxy.URL())
		done <- err
	}()
	for range 20 { // other clients get answers meanwhile, also on a slow machine
		if _, err := fetch(other.URL()); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("a stalled proxy answers: %v", err)
	default:
	}
	proxy.Restore()
	if err := <-done; err != nil {
		t.Errorf("after Restore: %v", err)
	}
	proxy.Delay(20 * time.Millisecond)
	begun := time.Now()
	if _, err := fetch(proxy.URL()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < 20*time.Millisecond {
		t.Errorf("a delayed answer took %v", took)
	}
}
