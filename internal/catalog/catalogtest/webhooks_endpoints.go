package catalogtest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// actions gives the latest actions in acme's audit log, newest first.
func (b *bench) actions(n int) string {
	b.Helper()
	list, err := b.c.LatestAudit(b.ctx, b.tenant, "", -1, n)
	b.must(err)
	var out []string
	for _, e := range list {
		out = append(out, e.Actor+" "+e.Action)
	}
	return fmt.Sprint(out)
}

// words writes values with spaces between.
func words(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

func endpointsKept(b *bench) {
	e := b.endpoint("acme", domain.EventHourRebuilt, domain.EventDayCompleted, domain.EventHourRebuilt)
	got, err := b.c.Endpoint(b.ctx, "acme", e.ID)
	b.must(err)
	equal(b, "events", fmt.Sprint(got.Events), "[day.completed hour.rebuilt]")
	equal(b, "enabled", got.Disabled.IsZero(), true)
	url, off, on := "https://other.example.com/x", false, true
	got, err = b.c.SetEndpoint(b.ctx, "acme", e.ID, catalog.EndpointChange{URL: &url, Events: []string{domain.EventDayFailed}, Enabled: &off}, anyone)
	b.must(err)
	equal(b, "changed", words(got.URL, got.Events, got.Disabled.IsZero(), got.Reason), url+" [day.failed] false by an operator")
	_, err = b.c.SetEndpoint(b.ctx, "acme", e.ID, catalog.EndpointChange{Enabled: &on}, anyone)
	b.must(err)
	list, err := b.c.Endpoints(b.ctx, "acme")
	b.must(err)
	equal(b, "listed", words(len(list), list[0].URL, list[0].Disabled.IsZero(), list[0].Reason), "1 "+url+" true ")
	b.must(b.c.DeleteEndpoint(b.ctx, "acme", e.ID, anyone))
	_, err = b.c.Endpoint(b.ctx, "acme", e.ID)
	b.wantKind(err, domain.KindNotFound)
	equal(b, "log", b.actions(9), "[admin webhook.delete admin webhook.set admin webhook.set admin webhook.create]")
}

func endpointBounds(b *bench) {
	b.newTenant("other", 3)
	e := b.endpoint("other")
	fresh := func(tenant string, events ...string) error {
		_, err := b.c.CreateEndpoint(b.ctx, catalog.Endpoint{ID: catalog.NewEndpointID(), Tenant: tenant, URL: "https://hooks.example.com",
			Events: events, Secret: catalog.Sealed{Data: []byte("s")}}, anyone)
		return err
	}
	b.wantKind(fresh("acme"), domain.KindInvalid)
	b.wantKind(fresh("acme", "day.imagined"), domain.KindInvalid)
	b.wantKind(fresh("nobody", domain.EventDayFailed), domain.KindNotFound)
	_, err := b.c.Endpoint(b.ctx, "acme", e.ID)
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.SetEndpoint(b.ctx, "acme", e.ID, catalog.EndpointChange{}, anyone)
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.SetEndpoint(b.ctx, "other", e.ID, catalog.EndpointChange{Events: []string{"x"}}, anyone)
	b.wantKind(err, domain.KindInvalid)
	_, err = b.c.SetEndpoint(b.ctx, "other", e.ID, catalog.EndpointChange{Events: []string{}}, anyone)
	b.wantKind(err, domain.KindInvalid)
	b.wantKind(b.c.DeleteEndpoint(b.ctx, "acme", e.ID, anyone), domain.KindNotFound)
	var made atomic.Int64
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			switch err := fresh("acme", domain.EventDayFailed); domain.KindOf(err) {
			case "":
				made.Add(1)
			case domain.KindConflict:
			default:
				b.Error(err)
			}
		})
	}
	group.Wait()
	equal(b, "endpoints of one tenant", made.Load(), 10)
}

func secretsRotate(b *bench) {
	e := b.endpoint("acme")
	_, err := b.c.RotateEndpoint(b.ctx, "acme", e.ID, catalog.Sealed{Data: []byte("fresh")}, func(e catalog.Endpoint, at time.Time) (catalog.Sealed, time.Time) {
		equal(b, "at", at.After(b.now().Add(-time.Minute)), true)
		return e.Secret, at.Add(time.Hour)
	}, anyone)
	b.must(err)
	got, err := b.c.Endpoint(b.ctx, "acme", e.ID)
	b.must(err)
	equal(b, "secrets", string(got.Secret.Data)+" "+string(got.Former.Data), "fresh secret")
	equal(b, "the former one ends later", got.Until.After(b.now()), true)
	b.must(b.c.SealEndpoints(b.ctx, func(id string, s catalog.Sealed) catalog.Sealed {
		return catalog.Sealed{Data: []byte(id + string(s.Data)), Encrypted: true}
	}))
	b.must(b.c.SealEndpoints(b.ctx, func(string, catalog.Sealed) catalog.Sealed {
		b.Error("sealed twice")
		return catalog.Sealed{}
	}))
	got, err = b.c.Endpoint(b.ctx, "acme", e.ID)
	b.must(err)
	equal(b, "sealed", words(string(got.Secret.Data), string(got.Former.Data), got.Secret.Encrypted, got.Former.Encrypted), e.ID+"fresh"+" "+e.ID+"secret true true")
	_, err = b.c.RotateEndpoint(b.ctx, "acme", e.ID, catalog.Sealed{Data: []byte("third")}, func(catalog.Endpoint, time.Time) (catalog.Sealed, time.Time) {
		return catalog.Sealed{}, time.Time{}
	}, anyone)
	b.must(err)
	got, err = b.c.Endpoint(b.ctx, "acme", e.ID)
	b.must(err)
	equal(b, "without grace", words(string(got.Secret.Data), len(got.Former.Data)), "third 0")
}

func goneEndpoint(b *bench) {
	e := b.endpoint("acme")
	b.event()
	b.event()
	d := b.sends(1)[0]
	b.must(b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Status: 410, Error: "gone", Gone: true, RetryIn: time.Minute}))
	got, err := b.c.Endpoint(b.ctx, "acme", e.ID)
	b.must(err)
	equal(b, "disabled", got.Disabled.IsZero(), false)
	equal(b, "log", b.actions(1), "[receiver webhook.disable]")
	b.pass(time.Hour)
	equal(b, "taken", len(b.claims(9)), 0)
	states := map[string]int{}
	for _, d := range b.deliveries(catalog.DeliveryQuery{}) {
		states[d.State]++
	}
	equal(b, "states", fmt.Sprint(states), "map[failed:1 pending:1]")
}

// disabledEndpoint keeps what waits until the endpoint is enabled again.
func disabledEndpoint(b *bench) {
	e := b.endpoint("acme")
	b.event()
	on, off := true, false
	_, err := b.c.SetEndpoint(b.ctx, "acme", e.ID, catalog.EndpointChange{Enabled: &off}, anyone)
	b.must(err)
	equal(b, "taken", len(b.claims(9)), 0)
	_, err = b.c.SetEndpoint(b.ctx, "acme", e.ID, catalog.EndpointChange{Enabled: &on}, anyone)
	b.must(err)
	equal(b, "taken", len(b.claims(9)), 1)
}

func testedEndpoint(b *bench) {
	e, other := b.endpoint("acme", domain.EventDayFailed), b.endpoint("acme")
	id, err := b.c.TestEndpoint(b.ctx, "acme", e.ID, anyone)
	b.must(err)
	equal(b, "to the other", len(b.deliveries(catalog.DeliveryQuery{Endpoint: other.ID})), 0)
	d := b.sends(1)[0]
	equal(b, "delivery", d.ID, id)
	equal(b, "type", d.Type, domain.EventTest)
	_, err = b.c.TestEndpoint(b.ctx, "other", e.ID, anyone)
	b.wantKind(err, domain.KindNotFound)
	equal(b, "log", b.actions(1), "[admin webhook.test]")
}
