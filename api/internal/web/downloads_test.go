package web_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
)

func TestDownloadLimiter(t *testing.T) {
	limiter := web.NewDownloadLimiter(web.DownloadLimits{Object: 2, Tenant: 3, All: 4})
	begin := func(tenant, object string) (*web.Prepared, error) {
		c := content()
		c.Limiter, c.Download = limiter, web.DownloadKey{Tenant: tenant, Object: object}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		return c.Prepare(t.Context(), c.Plan(httptest.NewRecorder(), r))
	}
	want := func(tenant, object string, fits bool) *web.Prepared {
		t.Helper()
		ready, err := begin(tenant, object)
		if (err == nil) != fits || !fits && domain.KindOf(err) != domain.KindUnavailable {
			t.Fatalf("%s of %s: %v", object, tenant, err)
		}
		return ready
	}
	first := want("a", "1", true)
	served := want("a", "1", true)
	want("a", "1", false) // the object's limit
	want("a", "2", true)
	want("a", "3", false) // the tenant's limit
	want("b", "1", true)
	want("c", "1", false) // the limit of all
	first.Close()
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/zip")
	if err := served.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil)); err != nil {
		t.Fatal(err)
	}
	want("c", "1", true)
	want("a", "1", true)
	want("a", "1", false) // the limit of all
}

// TestSlowestYields fills an object's places with readers of several speeds. Who comes then gets
// the place of the slowest, and is refused while all are fast.
func TestSlowestYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := web.NewDownloadLimiter(web.DownloadLimits{Address: 2, Object: 3})
		ended := map[string]chan error{}
		var clients []net.Conn
		var readers sync.WaitGroup
		defer func() {
			for _, c := range clients {
				_ = c.Close()
			}
			readers.Wait()
		}()
		begin := func(name, address string) error {
			c := web.Content{Size: 1 << 30, Limiter: limiter, Download: web.DownloadKey{Object: "o", Address: address},
				Open: func(_ context.Context, from, to int64) (io.ReadCloser, error) {
					return io.NopCloser(io.LimitReader(zeros{}, to-from)), nil
				}}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			server, client := net.Pipe()
			clients = append(clients, client)
			w := &piped{httptest.NewRecorder(), server}
			w.Header().Set("Content-Type", "application/zip")
			ready, err := c.Prepare(t.Context(), c.Plan(w, r))
			if err != nil {
				return err
			}
			done := make(chan error, 1)
			ended[name] = done
			go func() {
				done <- ready.Serve(w, r)
				_ = server.Close()
			}()
			if name != "unread" {
				readers.Go(func() {
					for {
						time.Sleep(time.Second)
						if _, err := io.CopyN(io.Discard, client, 256<<10); err != nil {
							return
						}
					}
				})
			}
			synctest.Wait()
			return nil
		}
		want := func(name, address string, fits bool, lost string) {
			t.Helper()
			err := begin(name, address)
			if (err == nil) != fits || !fits && domain.KindOf(err) != domain.KindUnavailable {
				t.Fatalf("%s: %v", name, err)
			}
			for other, done := range ended {
				select {
				case err := <-done:
					if other != lost || err == nil {
						t.Errorf("%s ended %s: %v", name, other, err)
					}
					delete(ended, other)
				default:
					if other == lost {
						t.Errorf("%s did not end %s", name, other)
					}
				}
			}
		}
		want("unread", "192.0.2.1", true, "")
		want("read", "192.0.2.1", true, "")
		want("third of the address, at once", "192.0.2.1", false, "")
		want("other address", "192.0.2.2", true, "")
		want("fourth of the object, at once", "192.0.2.3", false, "")
		time.Sleep(10 * time.Second)
		want("later", "192.0.2.3", true, "unread")
		time.Sleep(10 * time.Second)
		want("all are fast", "192.0.2.3", false, "")
	})
}

// piped is a connection whose client reads the other end of a pipe.
type piped struct {
	*httptest.ResponseRecorder
	net.Conn
}

func (p *piped) Write(b []byte) (int, error) { return p.Conn.Write(b) }

// A download whose object can't be opened does not count.
func TestFailedOpenReleases(t *testing.T) {
	limiter := web.NewDownloadLimiter(web.DownloadLimits{Object: 1})
	c := content()
	c.Limiter = limiter
	plan := c.Plan(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	open := c.Open
	c.Open = func(context.Context, int64, int64) (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
	if _, err := c.Prepare(t.Context(), plan); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	c.Open = open
	if _, err := c.Prepare(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
}

// slowClient is a connection whose client reads bytesPerSecond.
type slowClient struct {
	*httptest.ResponseRecorder
	bytesPerSecond int
	deadline       time.Time
}

func (w *slowClient) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

func (w *slowClient) Write(b []byte) (int, error) {
	needs := time.Duration(len(b)) * time.Second / time.Duration(w.bytesPerSecond)
	if left := time.Until(w.deadline); !w.deadline.IsZero() && left < needs {
		time.Sleep(max(0, left))
		return int(left.Seconds()) * w.bytesPerSecond, os.ErrDeadlineExceeded
	}
	time.Sleep(needs)
	return len(b), nil
}

// smallReads gives at most 512 bytes a Read, as a store may.
type smallReads struct{ io.Reader }

func (s smallReads) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), 512)]) }

func TestPace(t *testing.T) {
	const size = 2 << 20
	for rate, whole := range map[int]bool{100: false, 1000: false, 2000: true, 1 << 20: true} {
		synctest.Test(t, func(t *testing.T) {
			c := web.Content{Size: size, Open: func(_ context.Context, from, to int64) (io.ReadCloser, error) {
				return io.NopCloser(smallReads{io.LimitReader(zeros{}, to-from)}), nil
			}}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			w := &slowClient{ResponseRecorder: httptest.NewRecorder(), bytesPerSecond: rate}
			w.Header().Set("Content-Type", "application/zip")
			ready, err := c.Prepare(t.Context(), c.Plan(w, r))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err = ready.Serve(w, r)
			if took := time.Since(start); (err == nil) != whole || !whole && took > 5*time.Minute {
				t.Errorf("%d bytes/s: after %s: %v", rate, took, err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// panicking is a connection whose writes panic.
type panicking struct{ *httptest.ResponseRecorder }

func (panicking) Write([]byte) (int, error) {
	web.Abort()
	return 0, nil
}

// A download that panics gives its place back.
func TestPanicFreesPlace(t *testing.T) {
	c := content()
	c.Limiter = web.NewDownloadLimiter(web.DownloadLimits{All: 1})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for range 2 {
		w := panicking{httptest.NewRecorder()}
		w.Header().Set("Content-Type", "application/zip")
		ready, err := c.Prepare(t.Context(), c.Plan(w, r))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			defer ready.Close()
			_ = ready.Serve(w, r)
		}()
	}
}

// A client of IPv6 can use all addresses of a /64: they share one address's places.
func TestAddressesOfANetwork(t *testing.T) {
	limiter := web.NewDownloadLimiter(web.DownloadLimits{Address: 1})
	for _, d := range []struct {
		address string
		fits    bool
	}{{"2001:db8::1", true}, {"2001:db8::ffff:2", false}, {"2001:db8:0:1::1", true}, {"192.0.2.1", true}, {"192.0.2.2", true}} {
		c := content()
		c.Limiter, c.Download = limiter, web.DownloadKey{Object: "o", Address: d.address}
		_, err := c.Prepare(t.Context(), c.Plan(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)))
		if (err == nil) != d.fits {
			t.Errorf("%s: %v", d.address, err)
		}
	}
}
