package catalogtest

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog"
)

// standingWebhooks counts endpoints by what became of their deliveries.
func standingWebhooks(b *bench) {
	is := func(what, want string) {
		b.Helper()
		w := b.standing().Webhooks
		equal(b, what, fmt.Sprintf("%d enabled, %d disabled, %d gone, %d failing, %d given up", w.Enabled, w.Disabled, w.Gone, w.Failing, w.GivenUp), want)
	}
	try := func(a catalog.DeliveryOutcome) {
		b.Helper()
		b.pass(2 * time.Minute)
		for _, d := range b.claims(9) {
			b.must(b.c.RecordDelivery(b.ctx, d, a))
		}
	}
	switched := func(e catalog.Endpoint, on bool) {
		b.Helper()
		_, err := b.c.SetEndpoint(b.ctx, b.tenant, e.ID, catalog.EndpointChange{Enabled: &on}, anyone)
		b.must(err)
	}
	is("nobody asked", "0 enabled, 0 disabled, 0 gone, 0 failing, 0 given up")
	e, other := b.endpoint("acme"), b.endpoint("acme")
	b.event()
	failed := catalog.DeliveryOutcome{Status: 500, Error: "answered 500", RetryIn: time.Minute}
	try(failed)
	try(failed)
	is("two failures", "2 enabled, 0 disabled, 0 gone, 0 failing, 0 given up")
	try(failed)
	is("three failures", "2 enabled, 0 disabled, 0 gone, 2 failing, 0 given up")
	b.event() // a second event for the same endpoints
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
	n, err := b.c.ReplayDeliveries(b.ctx, catalog.DeliveryQuery{Tenant: b.tenant, State: catalog.DeliveryFailed}, anyone)
	b.must(err)
	equal(b, "replayed", n, 2)
	is("replayed", "1 enabled, 1 disabled, 0 gone, 0 failing, 0 given up")
	try(final)
	try(final)
	is("given up again", "1 enabled, 1 disabled, 0 gone, 0 failing, 2 given up")
	b.pass(8 * 24 * time.Hour)
	is("given up a week ago", "1 enabled, 1 disabled, 0 gone, 0 failing, 0 given up")
	b.event()
	try(catalog.DeliveryOutcome{Status: 410, Error: "gone", Gone: true, RetryIn: time.Minute})
	is("the receiver wants no more", "0 enabled, 1 disabled, 1 gone, 0 failing, 0 given up")
	switched(e, false)
	is("an operator leaves it so", "0 enabled, 2 disabled, 0 gone, 0 failing, 0 given up")
	switched(e, true)
	switched(other, true)
	is("enabled", "2 enabled, 0 disabled, 0 gone, 1 failing, 1 given up")
}
