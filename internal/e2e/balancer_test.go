package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// balancer distributes requests over several APIs in turn. It keeps connections open and skips an
// API that is not ready.
type balancer struct {
	t     *testing.T
	proxy *httputil.ReverseProxy

	mu       sync.Mutex
	backends map[string]bool // address, and whether it is ready
	turn     int
	wrong    []string // 5xx answers and broken connections
}

// balance starts a balancer that f's clients use from now on.
func (f *fixture) balance(addresses ...string) *balancer {
	f.t.Helper()
	b := &balancer{t: f.t, backends: map[string]bool{}}
	b.proxy = &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: b.next()})
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(resp *http.Response) error {
			if resp.StatusCode >= 500 {
				b.complain("%s %s answers %s", resp.Request.Method, resp.Request.URL.Path, resp.Status)
			}
			return nil
		},
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil { // else the client has gone
				b.complain("%s %s: %v", r.Method, r.URL.Path, err)
			}
			rw.WriteHeader(http.StatusBadGateway)
		},
	}
	server := httptest.NewServer(b.proxy)
	ctx, stop := context.WithCancel(context.WithoutCancel(f.t.Context()))
	var watching sync.WaitGroup
	watching.Go(func() { b.watch(ctx) })
	f.t.Cleanup(func() {
		server.Close()
		stop()
		watching.Wait()
	})
	for _, a := range addresses {
		b.add(a)
	}
	f.api = server.Listener.Addr().String()
	return b
}

func (b *balancer) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// add waits until an API is ready and adds it.
func (b *balancer) add(address string) {
	b.t.Helper()
	eventually(b.t, address+" is ready", func(ctx context.Context) string {
		if !readyAt(ctx, address) {
			return "it is not"
		}
		return ""
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends[address] = true
}

// watch checks every 100 ms which APIs are ready.
func (b *balancer) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, address := range b.addresses(false) {
			ready := readyAt(ctx, address)
			b.mu.Lock()
			b.backends[address] = ready
			b.mu.Unlock()
		}
	}
}

func (b *balancer) addresses(ready bool) (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for address, is := range b.backends {
		if is || !ready {
			list = append(list, address)
		}
	}
	slices.Sort(list)
	return list
}

// next returns the next API; an address without a listener when none is ready.
func (b *balancer) next() string {
	list := b.addresses(true)
	if len(list) == 0 {
		return "127.0.0.1:1"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	return list[b.turn%len(list)]
}

// problems returns the errors so far.
func (b *balancer) problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wrong)
}

// readyAt asks a role whether it is ready, on a new connection.
func readyAt(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}
