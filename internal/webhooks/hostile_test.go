package webhooks_test

import (
	"bytes"
	"context"
	"io"
	"log" //nolint:depguard // what net/http itself writes goes there
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/webhooks"
)

// rawReceiver accepts connections, reads a request from each and hands the connection to then. It
// returns its URL.
func rawReceiver(t testing.TB, then func(conn net.Conn, over <-chan struct{})) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			group.Go(func() {
				_, _ = conn.Read(make([]byte, 64<<10)) // one read gets the whole request
				then(conn, over)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = listener.Close()
		group.Wait()
	})
	return "http://" + listener.Addr().String()
}

// says answers with text and keeps the connection.
func says(text string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, over <-chan struct{}) {
		_, _ = io.WriteString(conn, text)
		<-over
	}
}

// drips repeats text until the connection ends.
func drips(first, text string, every time.Duration) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, over <-chan struct{}) {
		_, err := io.WriteString(conn, first)
		for err == nil {
			select {
			case <-over:
				return
			case <-time.After(every):
				_, err = io.WriteString(conn, text)
			}
		}
	}
}

// TestReceiversWithoutEnd: a try ends although the receiver's answer never does, and a stop does
// not wait for it.
func TestReceiversWithoutEnd(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		then   func(net.Conn, <-chan struct{})
		state  string
		status int
		text   string
	}{
		"another protocol":       {says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), outbox.DeliveryPending, 101, "answered 101"},
		"a status line in drops": {drips("HTTP/1.1 200 ", "O", 10*time.Millisecond), outbox.DeliveryPending, 0, "no answer within 1s"},
		"headers in drops":       {drips(ok, "X: y\r\n", 10*time.Millisecond), outbox.DeliveryPending, 0, "no answer within 1s"},
		"endless hints":          {drips("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0), outbox.DeliveryPending, 0, "no answer"},
		"a body in drops":        {drips(ok+"Content-Length: 1000000\r\n\r\n", "x", 10*time.Millisecond), outbox.DeliveryDelivered, 200, ""},
		"chunks without end":     {drips(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 10*time.Millisecond), outbox.DeliveryDelivered, 200, ""},
		"a zip bomb":             {drips(ok+"Content-Encoding: gzip\r\n\r\n", strings.Repeat("\x1f\x8b\x00", 9999), 0), outbox.DeliveryDelivered, 200, ""},
		"a body that hangs":      {says(ok + "Content-Length: 10\r\n\r\nx"), outbox.DeliveryDelivered, 200, ""},
		"an error that hangs":    {says("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nx"), outbox.DeliveryPending, 500, "answered 500"},
		"silence":                {says(""), outbox.DeliveryPending, 0, "no answer within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly sleep
			f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
			f.tenant("acme", rawReceiver(t, c.then))
			stop := f.deliverer(f.catalog, func(_ *webhooks.Config, s *webhooks.SenderConfig) { s.Timeout = time.Second })
			f.events("acme", 1)
			tries := 1
			f.until("a try ends", func() bool {
				d := f.log("acme")[0]
				if late := d.Attempts == tries && c.status != 0 && d.Error == "no answer within 1s"; late { // a busy machine was too slow
					tries++
					f.advance(30 * time.Hour)
				}
				return d.Attempts == tries
			})
			if d := f.log("acme")[0]; d.State != c.state || d.Status != c.status || !strings.HasPrefix(d.Error, c.text) {
				t.Errorf("%s, %d, %q", d.State, d.Status, d.Error)
			}
			stop()
		})
	}
}

// TestAnswersThatAreNoText: a receiver's bytes are stored as a text that every database takes and
// that has no control characters. An outcome that can't be stored would be sent again for ever.
func TestAnswersThatAreNoText(t *testing.T) {
	onBoth(t, func(f *fixture) {
		answers := map[string]string{
			"bytes":   "HTTP/1.1 200 OK\r\nb\xffd \x00\x1b[2J\u202e\r\n\r\n",
			"cut":     "HTTP/1.1 200 OK\r\n" + strings.Repeat("ä", 400) + "\r\n\r\n",
			"cut-too": "HTTP/1.1 200 OK\r\nx" + strings.Repeat("ä", 400) + "\r\n\r\n",
			"ssh":     "SSH-2.0-OpenSSH_9.9\r\n",
			"status":  "HTTP/1.1 99999999999999999999 \xff\r\n\r\n",
		}
		for name, text := range answers {
			f.tenant(name, rawReceiver(f.TB, says(text)))
			f.events(name, 1)
		}
		stop := f.deliverer(f.catalog, nil)
		defer stop()
		for name := range answers {
			f.until("a try of "+name, func() bool { return f.log(name)[0].Attempts == 1 })
			d := f.log(name)[0]
			if d.State != outbox.DeliveryPending || !strings.HasPrefix(d.Error, "no answer: ") || len(d.Error) > 400 || !utf8.ValidString(d.Error) ||
				strings.ContainsFunc(d.Error, func(r rune) bool { return !unicode.IsPrint(r) }) {
				f.Errorf("%s: %s, %q", name, d.State, d.Error)
			}
		}
	})
}

// TestGoneFromBefore: a 410 from an endpoint's former URL does not disable the endpoint.
func TestGoneFromBefore(t *testing.T) {
	onBoth(t, func(f *fixture) {
		asked, release := make(chan struct{}), make(chan struct{})
		former := newReceiver(f.TB, func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-release
			w.WriteHeader(http.StatusGone)
		})
		now := newReceiver(f.TB, nil)
		e, _ := f.tenant("acme", former.URL)
		stop := f.deliverer(f.catalog, nil)
		defer stop()
		f.events("acme", 1)
		<-asked
		_, err := f.endpoints.Set(f.Context(), "acme", e.ID, outbox.EndpointChange{URL: &now.URL}, audit.Origin{Actor: "test"})
		f.must(err)
		close(release)
		f.until("the try ends", func() bool { return f.log("acme")[0].Attempts == 1 })
		e, err = f.catalog.Endpoint(f.Context(), "acme", e.ID)
		f.must(err)
		if !e.Disabled.IsZero() {
			f.Errorf("the new address is disabled: %s", e.Reason)
		}
		f.advance(time.Minute)
		f.untilState("acme", outbox.DeliveryDelivered, 1)
		if n := len(now.all()); n != 1 {
			f.Errorf("%d arrived at the new address", n)
		}
	})
}

// TestUnasked: bytes that a receiver sends after its answer do not reach this process's log.
func TestUnasked(t *testing.T) {
	var mu sync.Mutex
	var written bytes.Buffer
	log.SetOutput(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return written.Write(p)
	}))
	t.Cleanup(func() { log.SetOutput(io.Discard) })
	f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
	done, closed := make(chan struct{}), make(chan struct{})
	f.tenant("acme", rawReceiver(t, func(conn net.Conn, _ <-chan struct{}) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		<-done // by now a client that keeps connections would have an idle one
		_, _ = io.WriteString(conn, `{"level":"error","msg":"forged"}`+"\n")
		_, _ = io.Copy(io.Discard, conn) // bytes on an idle connection would close it
		close(closed)
	}))
	f.deliverer(f.catalog, nil)
	f.events("acme", 1)
	f.untilState("acme", outbox.DeliveryDelivered, 1)
	close(done)
	<-closed
	mu.Lock()
	defer mu.Unlock()
	if written.Len() > 0 {
		t.Errorf("it wrote %q", written.String())
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestUnsignedWaits: while the master key is missing, the deliveries of a backlog are not tried one
// by one.
func TestUnsignedWaits(t *testing.T) {
	f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
	r := newReceiver(t, nil)
	f.tenant("acme", r.URL)
	f.events("acme", 30)
	right := f.vault
	var err error
	f.vault, err = auth.NewVault("")
	f.must(err)
	counted := &counting{Store: f.catalog}
	began, err := f.catalog.Now(t.Context())
	f.must(err)
	stop := f.deliverer(counted, nil)
	f.until("everything waits", func() bool {
		for _, d := range f.log("acme") {
			if d.Next.Sub(began) < 30*time.Second {
				return false
			}
		}
		return true
	})
	stop()
	ended, err := f.catalog.Now(t.Context())
	f.must(err)
	if n, most := counted.returned.Load(), 2*(1+int(ended.Sub(began)/time.Minute)); int(n) > most { // it tries again each minute
		t.Errorf("%d deliveries were tried one by one", n)
	}
	f.vault = right
	f.advance(2 * time.Minute)
	f.deliverer(f.catalog, nil)
	f.untilState("acme", outbox.DeliveryDelivered, 30)
}

// counting counts the calls that return claims.
type counting struct {
	webhooks.Store
	returned atomic.Int32
}

func (c *counting) ReturnDeliveries(ctx context.Context, batch []outbox.DeliveryClaim, wait time.Duration) error {
	c.returned.Add(1)
	return c.Store.ReturnDeliveries(ctx, batch, wait)
}

// TestOtherSpellings calls this machine by hosts that only some resolvers take for addresses.
func TestOtherSpellings(t *testing.T) {
	f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
	secure := &receiver{}
	secure.Server = httptest.NewTLSServer(secure)
	t.Cleanup(secure.Close)
	_, port, err := net.SplitHostPort(secure.Listener.Addr().String())
	f.must(err)
	hosts := []string{"127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "localhost.", "LOCALHOST", "0", "%6c%6fcalhost", "[::127.0.0.1]", "[0:0::ffff:7f00:1]",
		"[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[::1%25lo]", "[::]"}
	strict, called := webhooks.Rules{}, 0
	sender := webhooks.NewSender(webhooks.SenderConfig{Rules: strict, Timeout: 2 * time.Second, Roots: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		f.vault, time.Now)
	e, _ := f.tenant("acme", secure.URL)
	for _, host := range hosts {
		url := "https://" + host + ":" + port + "/hook"
		if strict.CheckURL(url) != nil {
			continue // no endpoint can have it
		}
		called++
		e.URL = url
		a, err := sender.Send(t.Context(), &outbox.DeliveryClaim{Event: "evt_1", Payload: []byte("{}"), At: time.Now(), Endpoint: e})
		if err != nil || a.Delivered || a.Status != 0 || a.Error == "" {
			t.Errorf("%s: %+v, %v", url, a, err)
		}
	}
	if n := len(secure.all()); n > 0 || called < 5 {
		t.Errorf("%d of %d arrived", n, called)
	}
}

// hanging is a catalog that does not answer the first claim.
type hanging struct {
	webhooks.Store
	looks atomic.Int32
}

func (h *hanging) ClaimDeliveries(ctx context.Context, f outbox.DeliveryLimits, lease time.Duration, limit int) ([][]outbox.DeliveryClaim, error) {
	if h.looks.Add(1) == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.Store.ClaimDeliveries(ctx, f, lease, limit)
}

// TestCatalogHangs: a claim that the catalog never answers delays deliveries only for a short time.
func TestCatalogHangs(t *testing.T) {
	f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
	r := newReceiver(t, nil)
	f.tenant("acme", r.URL)
	f.deliverer(&hanging{Store: f.catalog}, func(c *webhooks.Config, _ *webhooks.SenderConfig) { c.ClaimTimeout = time.Second })
	f.events("acme", 1)
	f.untilState("acme", outbox.DeliveryDelivered, 1)
}
