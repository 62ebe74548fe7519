package catalogtest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

// actions gives the n latest lines of acme's audit log, newest first, without the fixture's
// and the workers'.
func (f *fixture) actions(n int) string {
	f.Helper()
	list, err := f.c.LatestAudit(f.ctx, f.tenant, "", -1, n)
	f.must(err)
	var out []string
	for _, e := range list {
		if e.Actor != fixtureActor && e.Actor != "worker" {
			out = append(out, e.Actor+" "+e.Action)
		}
	}
	return fmt.Sprint(out)
}

// words joins values by spaces.
func words(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

func endpointsKept(f *fixture) {
	e := f.endpoint("acme", domain.EventHourRebuilt, domain.EventDayCompleted, domain.EventHourRebuilt)
	got, err := f.c.Endpoint(f.ctx, "acme", e.ID)
	f.must(err)
	equal(f, "events", fmt.Sprint(got.Events), "[day.completed hour.rebuilt]")
	equal(f, "enabled", got.Disabled.IsZero(), true)
	url, off, on := "https://other.example.com/x?token=secret", false, true
	got, err = f.c.SetEndpoint(f.ctx, "acme", e.ID, outbox.EndpointChange{URL: &url, Events: []string{domain.EventDayFailed}, Enabled: &off}, anyone)
	f.must(err)
	equal(f, "changed", words(got.URL, got.Events, got.Disabled.IsZero(), got.Reason), url+" [day.failed] false by an operator")
	_, err = f.c.SetEndpoint(f.ctx, "acme", e.ID, outbox.EndpointChange{Enabled: &on}, anyone)
	f.must(err)
	list, err := f.c.Endpoints(f.ctx, "acme")
	f.must(err)
	equal(f, "listed", words(len(list), list[0].URL, list[0].Disabled.IsZero(), list[0].Reason), "1 "+url+" true ")
	f.must(f.c.DeleteEndpoint(f.ctx, "acme", e.ID, anyone))
	_, err = f.c.Endpoint(f.ctx, "acme", e.ID)
	f.wantKind(err, domain.KindNotFound)
	equal(f, "log", f.actions(9), "[admin webhook.delete admin webhook.set admin webhook.set admin webhook.create]")
	lines, err := f.c.LatestAudit(f.ctx, f.tenant, "", -1, 3)
	f.must(err)
	for _, line := range lines {
		equal(f, "address without its query", strings.Contains(string(line.Detail), `"url":"https://other.example.com/x"`), true)
	}
}

func endpointBounds(f *fixture) {
	f.newTenant("other", 3)
	e := f.endpoint("other")
	fresh := func(tenant string, events ...string) error {
		_, err := f.c.CreateEndpoint(f.ctx, outbox.Endpoint{ID: outbox.NewEndpointID(), Tenant: tenant, URL: "https://hooks.example.com",
			Events: events, Secret: outbox.Sealed{Data: []byte("s")}}, anyone)
		return err
	}
	f.wantKind(fresh("acme"), domain.KindInvalid)
	f.wantKind(fresh("acme", "day.imagined"), domain.KindInvalid)
	f.wantKind(fresh("nobody", domain.EventDayFailed), domain.KindNotFound)
	_, err := f.c.Endpoint(f.ctx, "acme", e.ID)
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.SetEndpoint(f.ctx, "acme", e.ID, outbox.EndpointChange{}, anyone)
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.SetEndpoint(f.ctx, "other", e.ID, outbox.EndpointChange{Events: []string{"x"}}, anyone)
	f.wantKind(err, domain.KindInvalid)
	_, err = f.c.SetEndpoint(f.ctx, "other", e.ID, outbox.EndpointChange{Events: []string{}}, anyone)
	f.wantKind(err, domain.KindInvalid)
	f.wantKind(f.c.DeleteEndpoint(f.ctx, "acme", e.ID, anyone), domain.KindNotFound)
	var made atomic.Int64
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			switch err := fresh("acme", domain.EventDayFailed); domain.KindOf(err) {
			case "":
				made.Add(1)
			case domain.KindConflict:
			default:
				f.Error(err)
			}
		})
	}
	group.Wait()
	equal(f, "endpoints of one tenant", made.Load(), 10)
}

func secretsRotate(f *fixture) {
	e := f.endpoint("acme")
	_, err := f.c.RotateEndpoint(f.ctx, "acme", e.ID, outbox.Sealed{Data: []byte("fresh")}, func(e outbox.Endpoint, at time.Time) (outbox.Sealed, time.Time) {
		equal(f, "at", at.After(f.now().Add(-time.Minute)), true)
		return e.Secret, at.Add(time.Hour)
	}, anyone)
	f.must(err)
	got, err := f.c.Endpoint(f.ctx, "acme", e.ID)
	f.must(err)
	equal(f, "secrets", string(got.Secret.Data)+" "+string(got.Former.Data), "fresh secret")
	equal(f, "the former one ends later", got.Until.After(f.now()), true)
	f.must(f.c.SealEndpoints(f.ctx, func(id string, s outbox.Sealed) outbox.Sealed {
		return outbox.Sealed{Data: []byte(id + string(s.Data)), Encrypted: true}
	}))
	f.must(f.c.SealEndpoints(f.ctx, func(string, outbox.Sealed) outbox.Sealed {
		f.Error("sealed twice")
		return outbox.Sealed{}
	}))
	got, err = f.c.Endpoint(f.ctx, "acme", e.ID)
	f.must(err)
	equal(f, "sealed", words(string(got.Secret.Data), string(got.Former.Data), got.Secret.Encrypted, got.Former.Encrypted), e.ID+"fresh"+" "+e.ID+"secret true true")
	_, err = f.c.RotateEndpoint(f.ctx, "acme", e.ID, outbox.Sealed{Data: []byte("third")}, func(outbox.Endpoint, time.Time) (outbox.Sealed, time.Time) {
		return outbox.Sealed{}, time.Time{}
	}, anyone)
	f.must(err)
	got, err = f.c.Endpoint(f.ctx, "acme", e.ID)
	f.must(err)
	equal(f, "without grace", words(string(got.Secret.Data), len(got.Former.Data)), "third 0")
}

func goneEndpoint(f *fixture) {
	e := f.endpoint("acme")
	f.createEvent()
	f.createEvent()
	d := f.sends(1)[0]
	f.must(f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Status: 410, Error: "gone", Gone: true, RetryIn: time.Minute}))
	got, err := f.c.Endpoint(f.ctx, "acme", e.ID)
	f.must(err)
	equal(f, "disabled", got.Disabled.IsZero(), false)
	equal(f, "log", f.actions(1), "[receiver webhook.disable]")
	f.pass(time.Hour)
	equal(f, "taken", len(f.claims(9)), 0)
	states := map[string]int{}
	for _, d := range f.deliveries(outbox.DeliveryQuery{}) {
		states[d.State]++
	}
	equal(f, "states", fmt.Sprint(states), "map[failed:1 pending:1]")
}

// disabledEndpoint checks that deliveries wait until the endpoint is enabled again.
func disabledEndpoint(f *fixture) {
	e := f.endpoint("acme")
	f.createEvent()
	on, off := true, false
	_, err := f.c.SetEndpoint(f.ctx, "acme", e.ID, outbox.EndpointChange{Enabled: &off}, anyone)
	f.must(err)
	equal(f, "taken", len(f.claims(9)), 0)
	_, err = f.c.SetEndpoint(f.ctx, "acme", e.ID, outbox.EndpointChange{Enabled: &on}, anyone)
	f.must(err)
	equal(f, "taken", len(f.claims(9)), 1)
}

func testedEndpoint(f *fixture) {
	e, other := f.endpoint("acme", domain.EventDayFailed), f.endpoint("acme")
	id, err := f.c.TestEndpoint(f.ctx, "acme", e.ID, anyone)
	f.must(err)
	equal(f, "to the other", len(f.deliveries(outbox.DeliveryQuery{Endpoint: other.ID})), 0)
	d := f.sends(1)[0]
	equal(f, "delivery", d.ID, id)
	equal(f, "type", d.Type, domain.EventTest)
	_, err = f.c.TestEndpoint(f.ctx, "other", e.ID, anyone)
	f.wantKind(err, domain.KindNotFound)
	equal(f, "log", f.actions(1), "[admin webhook.test]")
}
