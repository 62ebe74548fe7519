package webhooks_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/webhooks"
)

func TestDelivers(t *testing.T) {
	began := time.Now().Truncate(time.Second)
	onBoth(t, func(f *fixture) {
		r := newReceiver(t, nil)
		_, secret := f.tenant("acme", r.URL+"/hook?x=1")
		f.deliverer(f.catalog, nil)
		f.events("acme", 1)
		f.untilState("acme", outbox.DeliveryDelivered, 1)
		got := r.all()
		if len(got) != 1 {
			t.Fatalf("%d arrived", len(got))
		}
		if !secretShape(secret) {
			t.Errorf("the secret has another shape than whsec_ and base64")
		}
		if err := verified(secret, got[0]); err != nil {
			t.Error(err)
		}
		stamp, err := strconv.ParseInt(got[0].header.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
		if at := time.Unix(stamp, 0); err != nil || at.Before(began) || at.After(time.Now()) {
			t.Errorf("it is of %s, error %v", at, err)
		}
		changed := got[0]
		changed.body = append([]byte(" "), changed.body...)
		if verified(secret, changed) == nil {
			t.Error("a changed body is believed")
		}
		var event struct {
			Type string
			Data map[string]any
		}
		if err := json.Unmarshal(got[0].body, &event); err != nil || event.Type != "day.completed" || event.Data["utcDay"] != string(f.day) {
			t.Errorf("%s, %v", got[0].body, err)
		}
		if h := got[0].header; h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "callvault-webhooks" || h.Get("webhook-id") != f.log("acme")[0].Event {
			t.Errorf("headers %v", h)
		}
	})
}

// TestRotation: both secrets sign during the grace time, then only the new one.
func TestRotation(t *testing.T) {
	onBoth(t, func(f *fixture) {
		r := newReceiver(t, nil)
		e, former := f.tenant("acme", r.URL)
		_, secret, err := f.endpoints.Rotate(t.Context(), "acme", e.ID, time.Hour, audit.Origin{Actor: "test"})
		f.must(err)
		f.deliverer(f.catalog, nil)
		f.events("acme", 1)
		f.untilState("acme", outbox.DeliveryDelivered, 1)
		f.advance(2 * time.Hour)
		f.events("acme", 2)
		f.untilState("acme", outbox.DeliveryDelivered, 2)
		got := r.all()
		for i, want := range []bool{true, false} {
			if err := verified(former, got[i]); (err == nil) != want {
				t.Errorf("delivery %d, former secret: %v", i, err)
			}
			if err := verified(secret, got[i]); err != nil {
				t.Errorf("delivery %d, new secret: %v", i, err)
			}
		}
	})
}

// breakOff closes the connection without an answer.
func breakOff(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// TestHostileReceivers tries receivers that hang, fail and break off, until they recover.
func TestHostileReceivers(t *testing.T) {
	elsewhere := newReceiver(t, nil)
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		then   http.HandlerFunc
		status int
		text   string
	}{
		"hangs":  {hang, 0, "no answer within 1s"},
		"fails":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret detail", 500) }, 500, "answered 500"},
		"closes": {breakOff, 0, "no answer: EOF"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, 307, "answered 307; redirects are not followed"},
		"is hostile": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 100<<10)) }, 0, "no answer: net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000000")
			w.WriteHeader(404)
			_, _ = w.Write(make([]byte, 1<<20))
		}, 404, "answered 404"},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.TB = t // sub-tests end before their parent's clean-up
				r := newReceiver(t, c.then)
				_, secret := f.tenant("acme", r.URL)
				stop := f.deliverer(f.catalog, func(_ *webhooks.Config, s *webhooks.SenderConfig) {
					if name == "hangs" {
						s.Timeout = time.Second
					}
				})
				defer stop()
				f.events("acme", 1)
				f.until("a first try", func() bool { return f.log("acme")[0].Attempts == 1 })
				d := f.log("acme")[0]
				if d.State != outbox.DeliveryPending || d.Status != c.status || !strings.HasPrefix(d.Error, c.text) {
					t.Errorf("%s, %d, %q", d.State, d.Status, d.Error)
				}
				if wait := d.Next.Sub(d.Last); wait < 4*time.Second || wait > 6*time.Second {
					t.Errorf("it is tried again after %s", wait)
				}
				f.advance(7 * time.Second)
				f.until("a second try", func() bool { return f.log("acme")[0].Attempts == 2 })
				r.answer(nil)
				f.advance(6 * time.Minute)
				f.untilState("acme", outbox.DeliveryDelivered, 1)
				if len(r.ids()) != 1 || len(r.all()) != 3 {
					t.Errorf("arrived: %v", r.ids())
				}
				for _, g := range r.all() {
					if err := verified(secret, g); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
	if len(elsewhere.all()) > 0 {
		t.Error("a redirect was followed")
	}
}

// TestGivesUp: after the last try a delivery has failed, and a replay sends it again.
func TestGivesUp(t *testing.T) {
	onBoth(t, func(f *fixture) {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		f.tenant("acme", r.URL)
		f.deliverer(f.catalog, nil)
		f.events("acme", 1)
		for n := 1; n <= 10; n++ {
			f.until("another try", func() bool { return f.log("acme")[0].Attempts == n })
			f.advance(30 * time.Hour)
		}
		f.untilState("acme", outbox.DeliveryFailed, 1)
		r.answer(nil)
		n, err := f.catalog.ReplayDeliveries(t.Context(), outbox.DeliveryQuery{Tenant: "acme", State: outbox.DeliveryFailed}, audit.Origin{Actor: "test"})
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
		f.untilState("acme", outbox.DeliveryDelivered, 1)
		if len(r.ids()) != 1 || len(r.all()) != 11 {
			t.Errorf("arrived: %v", r.ids())
		}
	})
}

func TestAnswersThatSteer(t *testing.T) {
	onBoth(t, func(f *fixture) {
		busy := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1800")
			w.WriteHeader(429)
		})
		gone := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) })
		f.tenant("busy", busy.URL)
		e, _ := f.tenant("gone", gone.URL)
		f.events("busy", 1)
		f.events("gone", 3)
		stop := f.deliverer(f.catalog, func(c *webhooks.Config, _ *webhooks.SenderConfig) { c.Slots = 1 })
		f.until("a try", func() bool { return f.log("busy")[0].Attempts == 1 })
		if d := f.log("busy")[0]; d.Next.Sub(d.Last) != 30*time.Minute {
			t.Errorf("asked for half an hour, it waits %s", d.Next.Sub(d.Last))
		}
		f.until("the webhook that is gone is disabled", func() bool {
			got, err := f.catalog.Endpoint(t.Context(), "gone", e.ID)
			f.must(err)
			return !got.Disabled.IsZero()
		})
		if stop(); len(gone.all()) != 1 {
			f.Fatalf("it was asked %d times", len(gone.all()))
		}
		f.untilState("gone", outbox.DeliveryFailed, 1)
	})
}

// TestTwoDeliverers runs two at once: no event is lost or sent twice.
func TestTwoDeliverers(t *testing.T) {
	onBoth(t, func(f *fixture) {
		r := newReceiver(t, nil)
		for _, id := range []string{"a", "b", "c"} {
			f.tenant(id, r.URL)
		}
		for range 2 {
			f.deliverer(f.catalog, nil)
		}
		for _, id := range []string{"a", "b", "c"} {
			f.events(id, 20)
		}
		for _, id := range []string{"a", "b", "c"} {
			f.untilState(id, outbox.DeliveryDelivered, 20)
		}
		ids := r.ids()
		if len(ids) != 60 || len(r.all()) != 60 {
			t.Errorf("%d events arrived in %d deliveries", len(ids), len(r.all()))
		}
	})
}

// TestSlowReceiver: a slow receiver delays no other one.
func TestSlowReceiver(t *testing.T) {
	onBoth(t, func(f *fixture) {
		release := make(chan struct{})
		slow := newReceiver(t, func(http.ResponseWriter, *http.Request) { <-release })
		defer close(release)
		quick := newReceiver(t, nil)
		f.tenant("slow", slow.URL)
		f.tenant("quick", quick.URL)
		stop := f.deliverer(f.catalog, func(c *webhooks.Config, _ *webhooks.SenderConfig) {
			c.Slots = 3
		})
		defer stop()
		f.events("slow", 30)
		f.until("the slow one has what it may", func() bool { return len(slow.all()) == 2 })
		f.events("quick", 20)
		f.untilState("quick", outbox.DeliveryDelivered, 20)
		if n := len(slow.all()); n != 2 {
			t.Errorf("%d are under way to the slow one", n)
		}
	})
}

// TestSlowBatch: the only sender leaves a slow receiver before its batch is done.
func TestSlowBatch(t *testing.T) {
	onBoth(t, func(f *fixture) {
		slow := newReceiver(t, func(http.ResponseWriter, *http.Request) { time.Sleep(1100 * time.Millisecond) })
		var first atomic.Int64
		quick := newReceiver(t, func(http.ResponseWriter, *http.Request) { first.Store(int64(len(slow.all()))) })
		f.tenant("slow", slow.URL)
		f.tenant("quick", quick.URL)
		f.events("slow", 30)
		f.events("quick", 1)
		stop := f.deliverer(f.catalog, func(c *webhooks.Config, _ *webhooks.SenderConfig) { c.Slots = 1 })
		defer stop()
		f.untilState("quick", outbox.DeliveryDelivered, 1)
		if n := first.Load(); n < 1 || n > 10 {
			t.Errorf("%d went to the slow one first", n)
		}
	})
}

// TestStop: a delivery that a stop breaks off goes back without an attempt.
func TestStop(t *testing.T) {
	onBoth(t, func(f *fixture) {
		release := make(chan struct{})
		r := newReceiver(t, func(http.ResponseWriter, *http.Request) { <-release })
		defer close(release)
		f.tenant("acme", r.URL)
		stop := f.deliverer(f.catalog, nil)
		f.events("acme", 1)
		f.until("it arrives", func() bool { return len(r.all()) == 1 })
		stop()
		if d := f.log("acme")[0]; d.State != outbox.DeliveryPending || d.Attempts != 0 {
			t.Errorf("%s after %d attempts", d.State, d.Attempts)
		}
		r.answer(nil)
		f.deliverer(f.catalog, nil)
		f.untilState("acme", outbox.DeliveryDelivered, 1)
		if len(r.ids()) != 1 {
			t.Errorf("ids %v", r.ids())
		}
	})
}

// TestAnotherMasterKey: a delivery that can't be signed waits and counts no attempt.
func TestAnotherMasterKey(t *testing.T) {
	f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
	r := newReceiver(t, nil)
	f.tenant("acme", r.URL)
	right := f.vault
	var err error
	f.vault, err = auth.NewVault("")
	f.must(err)
	stop := f.deliverer(f.catalog, nil)
	f.events("acme", 1)
	began, err := f.catalog.Now(t.Context())
	f.must(err)
	f.until("it waits", func() bool { return f.log("acme")[0].Next.Sub(began) >= time.Minute })
	stop()
	d := f.log("acme")[0]
	ended, err := f.catalog.Now(t.Context())
	f.must(err)
	if d.State != outbox.DeliveryPending || d.Attempts != 0 || d.Next.Sub(ended) > time.Minute || len(r.all()) > 0 {
		t.Errorf("%+v", d)
	}
	f.vault = right
	f.advance(2 * time.Minute)
	f.deliverer(f.catalog, nil)
	f.untilState("acme", outbox.DeliveryDelivered, 1)
}

// TestPrivateAddresses: names and addresses of this machine are not called.
func TestPrivateAddresses(t *testing.T) {
	f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
	plain := newReceiver(t, nil)
	secure := &receiver{}
	secure.Server = httptest.NewTLSServer(secure)
	t.Cleanup(secure.Close)
	port := func(r *receiver) string {
		_, port, err := net.SplitHostPort(r.Listener.Addr().String())
		f.must(err)
		return port
	}
	for i, url := range []string{"https://localhost:" + port(secure), "https://127.0.0.1:" + port(secure), "http://localhost:" + port(plain),
		"https://[::ffff:127.0.0.1]:" + port(secure), "http://[::1]:" + port(plain)} {
		f.tenant(fmt.Sprint("t", i), url+"/hook")
		f.events(fmt.Sprint("t", i), 1)
	}
	// The endpoints were made under other rules, as a name's address can change later.
	stop := f.deliverer(f.catalog, func(_ *webhooks.Config, s *webhooks.SenderConfig) { s.Rules = webhooks.Rules{} })
	for i := range 5 {
		tenant := fmt.Sprint("t", i)
		f.until("a try", func() bool { return f.log(tenant)[0].Attempts == 1 })
		if d := f.log(tenant)[0]; d.Error != "the host's address is private; CALLVAULT_WEBHOOK_PRIVATE would allow it" {
			t.Errorf("%s: %q", tenant, d.Error)
		}
	}
	stop()
	if n := len(plain.all()) + len(secure.all()); n > 0 {
		t.Errorf("%d arrived", n)
	}
	// Where private addresses are allowed, certificates are still checked.
	f.deliverer(f.catalog, nil)
	f.advance(time.Minute)
	f.untilState("t2", outbox.DeliveryDelivered, 1)
	f.until("a second try", func() bool { return f.log("t0")[0].Attempts == 2 })
	if d := f.log("t0")[0]; !strings.Contains(d.Error, "certificate") {
		t.Errorf("an unknown certificate: %q", d.Error)
	}
}
