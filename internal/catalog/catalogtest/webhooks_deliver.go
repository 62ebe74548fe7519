package catalogtest

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

// createEvent completes another empty day of acme, which creates an event.
func (f *fixture) createEvent() {
	f.Helper()
	f.serial++
	f.createEventOf("acme", f.day.Add(1-f.serial))
}

func (f *fixture) createEventOf(tenant string, day domain.Day) {
	f.Helper()
	if day != f.day { // beyond retention unless reopened
		f.must(f.c.Reopen(f.ctx, tenant, day, audit.Origin{}))
	}
	_, err := f.c.PlanDay(f.ctx, tenant, day)
	f.must(err)
}

const lease = time.Minute

func (f *fixture) claims(limit int) []outbox.DeliveryClaim {
	f.Helper()
	batches, err := f.c.ClaimDeliveries(f.ctx, outbox.DeliveryLimits{Endpoint: 2, Tenant: 4}, lease, limit)
	f.must(err)
	return slices.Concat(batches...)
}

// sends claims deliveries, which must be n.
func (f *fixture) sends(n int) []outbox.DeliveryClaim {
	f.Helper()
	list := f.claims(n)
	if len(list) != n {
		f.Fatalf("%d deliveries were taken, want %d", len(list), n)
	}
	return list
}

func (f *fixture) ok(d outbox.DeliveryClaim) {
	f.Helper()
	f.must(f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Status: 204, Took: time.Second, Delivered: true}))
}

func claimDelivery(f *fixture) {
	e := f.endpoint("acme")
	equal(f, "taken of nothing", len(f.claims(9)), 0)
	f.createEvent()
	d := f.sends(1)[0]
	equal(f, "endpoint", d.Endpoint.ID, e.ID)
	equal(f, "secret", string(d.Endpoint.Secret.Data), "secret")
	equal(f, "tries", d.Tries, 0)
	equal(f, "payload", strings.HasPrefix(string(d.Payload), `{"type":"day.completed","timestamp":"`), true)
	equal(f, "an id without dots", strings.Contains(d.Event, "."), false)
	equal(f, "taken twice", len(f.claims(9)), 0)
	f.ok(d)
	if err := f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Status: 500, Error: "x", RetryIn: time.Hour}); !isLost(err) {
		f.Errorf("told of twice: %v", err)
	}
	f.pass(time.Hour)
	equal(f, "taken after it arrived", len(f.claims(9)), 0)
	got := f.deliveries(outbox.DeliveryQuery{})[0]
	equal(f, "log", words(got.State, got.Attempts, got.Status, got.Error, got.Took, got.Delivered.IsZero(), got.Next.IsZero()), "delivered 1 204  1s false true")
}

// claimDeliveriesRace claims all deliveries from several senders: each delivery once, and never
// more senders to one endpoint than allowed.
func claimDeliveriesRace(f *fixture) {
	f.endpoint("acme")
	f.endpoint("acme")
	for range 6 {
		f.createEvent()
	}
	var mu sync.Mutex
	seen, held := map[string]int{}, map[string]int{}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 40 {
				batches, err := f.c.ClaimDeliveries(f.ctx, outbox.DeliveryLimits{Endpoint: 2, Tenant: 100}, lease, 3)
				if err != nil {
					f.Error(err)
					return
				}
				mu.Lock()
				list := slices.Concat(batches...)
				for _, d := range list {
					seen[d.ID]++
					if held[d.Endpoint.ID]++; held[d.Endpoint.ID] > 2 {
						f.Errorf("%d under way to %s", held[d.Endpoint.ID], d.Endpoint.ID)
					}
				}
				mu.Unlock()
				for _, d := range list {
					mu.Lock()
					held[d.Endpoint.ID]--
					mu.Unlock()
					if err := f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Status: 200, Delivered: true}); err != nil {
						f.Error(err)
					}
				}
				mu.Lock()
				done := len(seen) == 12
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	group.Wait()
	equal(f, "deliveries", len(seen), 12)
	for id, n := range seen {
		equal(f, id, n, 1)
	}
}

// lapsedDelivery is claimed by a sender that is killed before it records the outcome: it is sent
// again.
func lapsedDelivery(f *fixture) {
	f.endpoint("acme")
	f.createEvent()
	first := f.sends(1)[0]
	f.pass(lease + time.Second)
	second := f.sends(1)[0]
	equal(f, "event", second.Event, first.Event)
	equal(f, "delivery", second.ID, first.ID)
	if err := f.c.RecordDelivery(f.ctx, first, outbox.DeliveryOutcome{Status: 200, Delivered: true}); !isLost(err) {
		f.Errorf("the first still counts: %v", err)
	}
	f.must(f.c.ReturnDeliveries(f.ctx, []outbox.DeliveryClaim{first}, time.Hour)) // the claim is gone
	f.ok(second)
	equal(f, "attempts", f.deliveries(outbox.DeliveryQuery{})[0].Attempts, 1)

	f.createEvent()
	third := f.sends(1)[0]
	f.must(f.c.ReturnDeliveries(f.ctx, []outbox.DeliveryClaim{third}, 10*time.Second))
	equal(f, "taken too early", len(f.claims(9)), 0)
	f.pass(lease + 20*time.Second)
	f.ok(f.sends(1)[0])
}

func fairDeliveries(f *fixture) {
	f.endpoint("acme")
	f.endpoint("acme")
	f.newTenant("small", 3)
	small := f.endpoint("small")
	for range 12 {
		f.createEvent()
	}
	f.createEventOf("small", f.day)
	first := f.sends(2)
	equal(f, "tenants at first", words(first[0].Endpoint.Tenant, first[1].Endpoint.Tenant), "acme acme")
	second := f.sends(1)[0]
	equal(f, "the next is the one who has nothing under way", second.Endpoint.ID, small.ID)
	equal(f, "more of a slow tenant", len(f.claims(9)), 2)
	equal(f, "too much of it", len(f.claims(9)), 0)
	f.ok(first[0])
	equal(f, "after one ended", len(f.claims(9)), 1)
}

// batchedDeliveries claims several deliveries of one endpoint for one sender, and leaves the same
// number for the other.
func batchedDeliveries(f *fixture) {
	f.endpoint("acme")
	for range 7 {
		f.createEvent()
	}
	take := func(want int) (batch []outbox.DeliveryClaim) {
		f.Helper()
		batches, err := f.c.ClaimDeliveries(f.ctx, outbox.DeliveryLimits{Endpoint: 2, Tenant: 8, Batch: 5}, lease, 9)
		f.must(err)
		batch = slices.Concat(batches...)
		equal(f, "taken", len(batch), want)
		return batch
	}
	first, second := take(4), take(2)
	take(0) // one delivery waits, and both senders have work
	for _, d := range first {
		f.ok(d)
	}
	f.ok(second[0])
	third := take(1)
	f.must(f.c.ReturnDeliveries(f.ctx, append(second, third...), 0)) // the outcome of one of them is recorded
	for _, d := range slices.Concat(take(1), take(1)) {
		f.ok(d)
	}
	take(0)
	equal(f, "delivered", len(f.deliveries(outbox.DeliveryQuery{State: outbox.DeliveryDelivered})), 7)
}

func retriedDelivery(f *fixture) {
	f.endpoint("acme")
	f.createEvent()
	for i := range 3 {
		d := f.sends(1)[0]
		equal(f, "tries", d.Tries, i)
		f.must(f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Status: 500, Error: "answered 500", Took: time.Second, RetryIn: 10 * time.Minute}))
		equal(f, "too early", len(f.claims(9)), 0)
		f.pass(10 * time.Minute)
	}
	d := f.sends(1)[0]
	f.must(f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Error: "no answer", RetryIn: -1}))
	f.pass(48 * time.Hour)
	equal(f, "taken after the last try", len(f.claims(9)), 0)
	got := f.deliveries(outbox.DeliveryQuery{State: outbox.DeliveryFailed})
	equal(f, "failed", len(got), 1)
	equal(f, "log", words(got[0].Attempts, got[0].Status, got[0].Error), "4 0 no answer")
	story, err := f.c.DeliveryHistory(f.ctx, "acme", d.ID)
	f.must(err)
	equal(f, "attempts", len(story.Tries), 4)
	equal(f, "latest", words(story.Tries[0].N, story.Tries[0].Status, story.Tries[1].Status, story.Tries[1].Error, story.Tries[1].Took), "4 0 500 answered 500 1s")
	_, err = f.c.DeliveryHistory(f.ctx, "other", d.ID)
	f.wantKind(err, domain.KindNotFound)
}

func replayed(f *fixture) {
	f.endpoint("acme")
	f.createEvent()
	f.createEvent()
	first := f.sends(1)[0]
	f.ok(first)
	second := f.sends(1)[0]
	f.must(f.c.RecordDelivery(f.ctx, second, outbox.DeliveryOutcome{Status: 500, Error: "x", RetryIn: -1}))
	replay := func(q outbox.DeliveryQuery, want int) {
		f.Helper()
		q.Tenant = "acme"
		n, err := f.c.ReplayDeliveries(f.ctx, q, anyone)
		f.must(err)
		equal(f, "replayed", n, want)
	}
	replay(outbox.DeliveryQuery{State: outbox.DeliveryFailed}, 1)
	again := f.sends(1)[0]
	equal(f, "event", again.Event, second.Event)
	equal(f, "tries", again.Tries, 0)
	replay(outbox.DeliveryQuery{ID: again.ID}, 0) // it is being sent
	f.ok(again)
	replay(outbox.DeliveryQuery{ID: first.ID}, 1)
	equal(f, "event", f.sends(1)[0].Event, first.Event)
	replay(outbox.DeliveryQuery{Day: f.day.Add(-99)}, 0)
	replay(outbox.DeliveryQuery{Day: f.day.Add(-1)}, 1)
	_, err := f.c.ReplayDeliveries(f.ctx, outbox.DeliveryQuery{Tenant: "acme"}, anyone)
	f.wantKind(err, domain.KindInvalid)
	_, err = f.c.ReplayDeliveries(f.ctx, outbox.DeliveryQuery{Tenant: "acme", ID: "whd_x"}, anyone)
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.ReplayDeliveries(f.ctx, outbox.DeliveryQuery{Tenant: "nobody", Day: f.day}, anyone)
	f.wantKind(err, domain.KindNotFound)
	equal(f, "log", f.actions(1), "[admin webhook.replay]")
}

func deliveryLog(f *fixture) {
	f.endpoint("acme")
	for range 5 {
		f.createEvent()
	}
	var days []string
	q := outbox.DeliveryQuery{Limit: 2}
	for {
		page := f.deliveries(q)
		for _, d := range page {
			days = append(days, string(d.Day))
		}
		if len(page) < 2 {
			break
		}
		q.Before = page[1].Position()
	}
	var want []string
	for i := range 5 {
		want = append(want, string(f.day.Add(-4+i)))
	}
	equal(f, "days, latest event first", strings.Join(days, " "), strings.Join(want, " "))
	equal(f, "of one day", len(f.deliveries(outbox.DeliveryQuery{Day: f.day.Add(-2)})), 1)
	equal(f, "of a state", len(f.deliveries(outbox.DeliveryQuery{State: outbox.DeliveryDelivered})), 0)
	equal(f, "of another tenant", len(f.deliveries(outbox.DeliveryQuery{Tenant: "x"})), 0)
}

func sweptEvents(f *fixture) {
	f.endpoint("acme")
	f.createEvent()
	d := f.sends(1)[0]
	f.ok(d)
	f.pass(20 * 24 * time.Hour)
	f.serial += 50
	f.createEvent()
	sweep := func(want int) {
		f.Helper()
		n, err := f.c.SweepWebhooks(f.ctx, 10*24*time.Hour, 100)
		f.must(err)
		equal(f, "swept", n, want)
	}
	f.must(PauseDeletions(f.ctx, f.c, time.Hour))
	sweep(0)
	f.pass(2 * time.Hour)
	sweep(1)
	sweep(0)
	equal(f, "left", len(f.deliveries(outbox.DeliveryQuery{})), 1)
	_, err := f.c.DeliveryHistory(f.ctx, "acme", d.ID)
	f.wantKind(err, domain.KindNotFound)
}

func attemptsBounded(f *fixture) {
	f.endpoint("acme")
	f.createEvent()
	var id string
	for range 25 {
		d := f.sends(1)[0]
		id = d.ID
		f.must(f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Status: 500, Error: "x"}))
	}
	story, err := f.c.DeliveryHistory(f.ctx, "acme", id)
	f.must(err)
	equal(f, "attempts", words(story.Attempts, len(story.Tries), story.Tries[0].N), "25 20 25")
}

// repairedDeliveries sets back a clock that was ahead by a month: deliveries are tried at the right
// time, and a claim of that time blocks no endpoint.
func repairedDeliveries(f *fixture) {
	f.endpoint("acme")
	f.endpoint("acme")
	const ahead = 30 * 24 * time.Hour
	f.serial = 1 // days that are reopened, because they are past retention by this clock
	f.pass(ahead)
	f.createEvent()
	f.createEvent()
	list := f.sends(2) // the sender of these is killed
	f.must(f.c.RecordDelivery(f.ctx, list[0], outbox.DeliveryOutcome{Status: 500, Error: "x", RetryIn: time.Hour}))
	f.pass(-ahead)
	equal(f, "taken", len(f.claims(9)), 0)
	_, err := f.c.SweepWebhooks(f.ctx, ahead, 100)
	f.must(err)
	for range 2 {
		for _, d := range f.sends(2) {
			f.ok(d)
		}
	}
	equal(f, "left", len(f.claims(9)), 0)

	f.createEvent()
	for _, d := range f.sends(2) { // correct deliveries do not change
		f.must(f.c.RecordDelivery(f.ctx, d, outbox.DeliveryOutcome{Status: 429, Error: "x", RetryIn: 25 * time.Hour}))
	}
	f.createEvent()
	held := f.sends(1)[0]
	_, err = f.c.SweepWebhooks(f.ctx, ahead, 100)
	f.must(err)
	f.ok(held)
	f.ok(f.sends(1)[0])
	equal(f, "left", len(f.claims(9)), 0)
}

// returnedDelivery could not be signed: other deliveries of its endpoint wait too, those of other
// endpoints do not.
func returnedDelivery(f *fixture) {
	f.endpoint("acme")
	for range 3 {
		f.createEvent()
	}
	first, second := f.sends(1)[0], f.sends(1)[0]
	f.newTenant("small", 3)
	f.endpoint("small")
	f.createEventOf("small", f.day)
	f.must(f.c.ReturnDeliveries(f.ctx, []outbox.DeliveryClaim{first}, 10*time.Minute))
	equal(f, "of whom", f.sends(1)[0].Endpoint.Tenant, "small")
	equal(f, "taken too early", len(f.claims(9)), 0)
	f.ok(second)
	f.pass(11 * time.Minute)
	for range 2 {
		found := map[string]bool{}
		for _, d := range f.claims(9) {
			found[d.Endpoint.Tenant] = true
			f.ok(d)
		}
		equal(f, "taken then", found["acme"], true)
	}
	f.createEvent()
	d := f.sends(1)[0]
	f.createEvent()
	f.must(f.c.ReturnDeliveries(f.ctx, []outbox.DeliveryClaim{d}, 0)) // given back by a process that stops: no other delivery waits for that
	f.sends(1)
	f.sends(1)
}
