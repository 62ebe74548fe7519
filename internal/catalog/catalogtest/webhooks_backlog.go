package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog/outbox"
)

// webhooksBacklog counts endpoints by the state of their deliveries.
func webhooksBacklog(f *fixture) {
	is := func(what, want string) {
		f.Helper()
		w := f.backlog().Webhooks
		equal(f, what, fmt.Sprintf("%d enabled, %d disabled, %d gone, %d failing, %d given up", w.Enabled, w.Disabled, w.Gone, w.Failing, w.GivenUp), want)
	}
	try := func(a outbox.DeliveryOutcome) {
		f.Helper()
		f.pass(2 * time.Minute)
		for _, d := range f.claims(9) {
			f.must(f.c.RecordDelivery(f.ctx, d, a))
		}
	}
	switched := func(e outbox.Endpoint, on bool) {
		f.Helper()
		_, err := f.c.SetEndpoint(f.ctx, f.tenant, e.ID, outbox.EndpointChange{Enabled: &on}, anyone)
		f.must(err)
	}
	is("nobody asked", "0 enabled, 0 disabled, 0 gone, 0 failing, 0 given up")
	e, other := f.endpoint("acme"), f.endpoint("acme")
	f.createEvent()
	failed := outbox.DeliveryOutcome{Status: 500, Error: "answered 500", RetryIn: time.Minute}
	try(failed)
	try(failed)
	is("two failures", "2 enabled, 0 disabled, 0 gone, 0 failing, 0 given up")
	try(failed)
	is("three failures", "2 enabled, 0 disabled, 0 gone, 2 failing, 0 given up")
	f.createEvent() // a second event for the same endpoints
	try(failed)
	try(failed)
	try(failed)
	is("webhooks are counted, not events", "2 enabled, 0 disabled, 0 gone, 2 failing, 0 given up")
	switched(other, false)
	is("an operator disabled one", "1 enabled, 1 disabled, 0 gone, 1 failing, 0 given up")
	final := failed
	final.RetryIn = -1
	try(final)
	try(final)
	is("given up", "1 enabled, 1 disabled, 0 gone, 0 failing, 2 given up")
	n, err := f.c.ReplayDeliveries(f.ctx, outbox.DeliveryQuery{Tenant: f.tenant, State: outbox.DeliveryFailed}, anyone)
	f.must(err)
	equal(f, "replayed", n, 2)
	is("replayed", "1 enabled, 1 disabled, 0 gone, 0 failing, 0 given up")
	try(final)
	try(final)
	is("given up again", "1 enabled, 1 disabled, 0 gone, 0 failing, 2 given up")
	f.pass(8 * 24 * time.Hour)
	is("given up a week ago", "1 enabled, 1 disabled, 0 gone, 0 failing, 0 given up")
	f.createEvent()
	try(outbox.DeliveryOutcome{Status: 410, Error: "gone", Gone: true, RetryIn: time.Minute})
	is("the receiver wants no more", "0 enabled, 1 disabled, 1 gone, 0 failing, 0 given up")
	switched(e, false)
	is("an operator leaves it so", "0 enabled, 2 disabled, 0 gone, 0 failing, 0 given up")
	switched(e, true)
	switched(other, true)
	is("enabled", "2 enabled, 0 disabled, 0 gone, 1 failing, 1 given up")
}
