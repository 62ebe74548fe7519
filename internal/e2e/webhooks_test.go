package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/callvault/callvault/internal/domain"
)

// hooked is a tenant's webhook receiver. It accepts what its secret signed.
type hooked struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	secret string
	hang   bool // do not answer
	told   []toldEvent
}

type toldEvent struct {
	id, Type string
	Data     struct {
		Day     string `json:"utcDay"`
		Hour    string `json:"hour"`
		Files   int    `json:"totalFiles"`
		Written int    `json:"revision"`
	}
}

func newHooked(t testing.TB) *hooked {
	h := &hooked{t: t}
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *hooked) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	h.mu.Lock()
	secret, hang := h.secret, h.hang
	h.mu.Unlock()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err == nil {
		err = hook.Verify(body, r.Header)
	}
	e := toldEvent{id: r.Header.Get("webhook-id")}
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		h.t.Errorf("%s: %v", body, err)
	}
	h.mu.Lock()
	h.told = append(h.told, e)
	h.mu.Unlock()
	if hang {
		<-r.Context().Done() // until the sender hangs up
	}
}

// of returns the events of a day, by type.
func (h *hooked) of(eventType string, d domain.Day) (list []toldEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.told {
		if e.Type == eventType && e.Data.Day == string(d) {
			list = append(list, e)
		}
	}
	return list
}

func (h *hooked) set(hang bool) {
	h.mu.Lock()
	h.hang = hang
	h.mu.Unlock()
}

// hook makes an endpoint of a tenant.
func (f *fixture) hook(h *hooked, tenant string) {
	f.t.Helper()
	var made struct {
		Secret string `json:"secret"`
	}
	f.must(json.Unmarshal([]byte(f.ok("webhook", "create", "--tenant", tenant, "--url", h.URL+"/callvault", "--json")), &made))
	h.secret = made.Secret
}

func (f *fixture) until(what string, done func() bool) {
	f.t.Helper()
	eventually(f.t, what, func(context.Context) string {
		if !done() {
			return "it has not"
		}
		return ""
	})
}

// TestStandaloneWebhooks: a night in one process sends each event once, and so does a late
// recording.
func TestStandaloneWebhooks(t *testing.T) {
	f := newStandalone(t)
	f.env["CALLVAULT_WEBHOOK_PRIVATE"] = "on"
	f.env["CALLVAULT_MASTER_KEY"] = "a master key of a good length, for tests"
	h := newHooked(t)
	p := f.standalone()
	yesterday := f.yesterday()
	p.term()
	f.tenant("acme")
	f.hook(h, "acme")
	list := spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 9}, "r", 3, 5000)
	list = append(list, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 17}, "r", 4, 5000)...)
	f.takeFiles(list)
	p = f.standalone()
	f.until("the day's event has come", func() bool { return len(h.of("day.completed", yesterday)) > 0 })
	if e := h.of("day.completed", yesterday)[0]; e.Data.Files != 7 {
		t.Errorf("it tells of %d files, want 7", e.Data.Files)
	}
	f.takeFiles(spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 9}, "late", 1, 5000))
	f.until("the hour's event has come", func() bool { return len(h.of("hour.rebuilt", yesterday)) > 0 })
	if e := h.of("hour.rebuilt", yesterday)[0]; e.Data.Hour != "09" || e.Data.Written != 2 {
		t.Errorf("it tells of %+v", e.Data)
	}
	f.check(day{"acme", yesterday})
	p.term()
	p.alone()
	if n := len(h.of("day.completed", yesterday)); n != 1 {
		t.Errorf("the day is told of %d times", n)
	}
}

// TestKilledDeliverer kills a worker while a receiver has not answered: another worker sends the
// same event again.
func TestKilledDeliverer(t *testing.T) {
	f := newFixture(t)
	f.env["CALLVAULT_WEBHOOK_PRIVATE"] = "on"
	h := newHooked(t)
	h.set(true)
	f.tenant("acme")
	f.hook(h, "acme")
	yesterday := f.yesterday()
	f.take(spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 9}, "r", 3, 5000))
	f.start("api,scheduler")
	worker := f.start("worker")
	f.until("the event has come", func() bool { return len(h.of("day.completed", yesterday)) == 1 })
	worker.kill()
	h.set(false)
	f.start("worker")
	f.start("worker")
	f.shiftClock(90 * time.Second) // the killed worker's claim lapses
	f.until("the event has come again", func() bool { return len(h.of("day.completed", yesterday)) == 2 })
	told := h.of("day.completed", yesterday)
	if told[0].id != told[1].id || told[0].id == "" {
		t.Errorf("the ids are %q and %q", told[0].id, told[1].id)
	}
	f.until("nothing waits", func() bool {
		return f.number(`SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'`) == 0
	})
	if n := f.number(`SELECT count(*) FROM webhook_events WHERE type = 'day.completed' AND payload LIKE '%' || $1 || '%'`, string(yesterday)); n != 1 {
		t.Errorf("%d events of one day", n)
	}
}
