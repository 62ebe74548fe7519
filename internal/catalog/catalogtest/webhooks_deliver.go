package catalogtest

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// event lets something happen of which acme is told: another quiet day is complete.
func (b *bench) event() {
	b.Helper()
	b.serial++
	b.eventOf("acme", b.day.Add(1-b.serial))
}

func (b *bench) eventOf(tenant string, day domain.Day) {
	b.Helper()
	if day != b.day { // beyond retention unless reopened
		b.must(b.c.Reopen(b.ctx, tenant, day))
	}
	_, err := b.c.PlanDay(b.ctx, tenant, day)
	b.must(err)
}

const lease = time.Minute

func (b *bench) claims(limit int) []catalog.DeliveryClaim {
	b.Helper()
	batches, err := b.c.ClaimDeliveries(b.ctx, catalog.DeliveryLimits{Endpoint: 2, Tenant: 4}, lease, limit)
	b.must(err)
	return slices.Concat(batches...)
}

// sends claims exactly n deliveries.
func (b *bench) sends(n int) []catalog.DeliveryClaim {
	b.Helper()
	list := b.claims(n)
	if len(list) != n {
		b.Fatalf("%d deliveries were taken, want %d", len(list), n)
	}
	return list
}

func (b *bench) ok(d catalog.DeliveryClaim) {
	b.Helper()
	b.must(b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Status: 204, Took: time.Second, Delivered: true}))
}

func claimDelivery(b *bench) {
	e := b.endpoint("acme")
	equal(b, "taken of nothing", len(b.claims(9)), 0)
	b.event()
	d := b.sends(1)[0]
	equal(b, "endpoint", d.Endpoint.ID, e.ID)
	equal(b, "secret", string(d.Endpoint.Secret.Data), "secret")
	equal(b, "tries", d.Tries, 0)
	equal(b, "payload", strings.HasPrefix(string(d.Payload), `{"type":"day.completed","timestamp":"`), true)
	equal(b, "an id without dots", strings.Contains(d.Event, "."), false)
	equal(b, "taken twice", len(b.claims(9)), 0)
	b.ok(d)
	if err := b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Status: 500, Error: "x", RetryIn: time.Hour}); !isLost(err) {
		b.Errorf("told of twice: %v", err)
	}
	b.pass(time.Hour)
	equal(b, "taken after it arrived", len(b.claims(9)), 0)
	got := b.deliveries(catalog.DeliveryQuery{})[0]
	equal(b, "log", words(got.State, got.Attempts, got.Status, got.Error, got.Took, got.Delivered.IsZero(), got.Next.IsZero()), "delivered 1 204  1s false true")
}

// claimDeliveriesRace takes everything from several sides: each delivery once, and never more of
// one endpoint at a time than allowed.
func claimDeliveriesRace(b *bench) {
	b.endpoint("acme")
	b.endpoint("acme")
	for range 6 {
		b.event()
	}
	var mu sync.Mutex
	seen, held := map[string]int{}, map[string]int{}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 40 {
				batches, err := b.c.ClaimDeliveries(b.ctx, catalog.DeliveryLimits{Endpoint: 2, Tenant: 100}, lease, 3)
				if err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				list := slices.Concat(batches...)
				for _, d := range list {
					seen[d.ID]++
					if held[d.Endpoint.ID]++; held[d.Endpoint.ID] > 2 {
						b.Errorf("%d under way to %s", held[d.Endpoint.ID], d.Endpoint.ID)
					}
				}
				mu.Unlock()
				for _, d := range list {
					mu.Lock()
					held[d.Endpoint.ID]--
					mu.Unlock()
					if err := b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Status: 200, Delivered: true}); err != nil {
						b.Error(err)
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
	equal(b, "deliveries", len(seen), 12)
	for id, n := range seen {
		equal(b, id, n, 1)
	}
}

// lapsedDelivery is a sender killed between sending and telling: the same is sent once more.
func lapsedDelivery(b *bench) {
	b.endpoint("acme")
	b.event()
	first := b.sends(1)[0]
	b.pass(lease + time.Second)
	second := b.sends(1)[0]
	equal(b, "event", second.Event, first.Event)
	equal(b, "delivery", second.ID, first.ID)
	if err := b.c.RecordDelivery(b.ctx, first, catalog.DeliveryOutcome{Status: 200, Delivered: true}); !isLost(err) {
		b.Errorf("the first still counts: %v", err)
	}
	b.must(b.c.ReturnDeliveries(b.ctx, []catalog.DeliveryClaim{first}, time.Hour)) // not its own any more
	b.ok(second)
	equal(b, "attempts", b.deliveries(catalog.DeliveryQuery{})[0].Attempts, 1)

	b.event()
	third := b.sends(1)[0]
	b.must(b.c.ReturnDeliveries(b.ctx, []catalog.DeliveryClaim{third}, 10*time.Second))
	equal(b, "taken too early", len(b.claims(9)), 0)
	b.pass(lease + 20*time.Second)
	b.ok(b.sends(1)[0])
}

func fairDeliveries(b *bench) {
	b.endpoint("acme")
	b.endpoint("acme")
	b.newTenant("small", 3)
	small := b.endpoint("small")
	for range 12 {
		b.event()
	}
	b.eventOf("small", b.day)
	first := b.sends(2)
	equal(b, "tenants at first", words(first[0].Endpoint.Tenant, first[1].Endpoint.Tenant), "acme acme")
	second := b.sends(1)[0]
	equal(b, "the next is the one who has nothing under way", second.Endpoint.ID, small.ID)
	equal(b, "more of a slow tenant", len(b.claims(9)), 2)
	equal(b, "too much of it", len(b.claims(9)), 0)
	b.ok(first[0])
	equal(b, "after one ended", len(b.claims(9)), 1)
}

// batchedDeliveries takes several of one endpoint for one sender, and leaves as much for the other.
func batchedDeliveries(b *bench) {
	b.endpoint("acme")
	for range 7 {
		b.event()
	}
	take := func(want int) (batch []catalog.DeliveryClaim) {
		b.Helper()
		batches, err := b.c.ClaimDeliveries(b.ctx, catalog.DeliveryLimits{Endpoint: 2, Tenant: 8, Batch: 5}, lease, 9)
		b.must(err)
		batch = slices.Concat(batches...)
		equal(b, "taken", len(batch), want)
		return batch
	}
	first, second := take(4), take(2)
	take(0) // one waits, and both senders have something to do
	for _, d := range first {
		b.ok(d)
	}
	b.ok(second[0])
	third := take(1)
	b.must(b.c.ReturnDeliveries(b.ctx, append(second, third...), 0)) // of which one is told of already
	for _, d := range slices.Concat(take(1), take(1)) {
		b.ok(d)
	}
	take(0)
	equal(b, "delivered", len(b.deliveries(catalog.DeliveryQuery{State: catalog.DeliveryDelivered})), 7)
}

func retriedDelivery(b *bench) {
	b.endpoint("acme")
	b.event()
	for i := range 3 {
		d := b.sends(1)[0]
		equal(b, "tries", d.Tries, i)
		b.must(b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Status: 500, Error: "answered 500", Took: time.Second, RetryIn: 10 * time.Minute}))
		equal(b, "too early", len(b.claims(9)), 0)
		b.pass(10 * time.Minute)
	}
	d := b.sends(1)[0]
	b.must(b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Error: "no answer", RetryIn: -1}))
	b.pass(48 * time.Hour)
	equal(b, "taken after the last try", len(b.claims(9)), 0)
	got := b.deliveries(catalog.DeliveryQuery{State: catalog.DeliveryFailed})
	equal(b, "failed", len(got), 1)
	equal(b, "log", words(got[0].Attempts, got[0].Status, got[0].Error), "4 0 no answer")
	story, err := b.c.DeliveryHistory(b.ctx, "acme", d.ID)
	b.must(err)
	equal(b, "attempts", len(story.Tries), 4)
	equal(b, "latest", words(story.Tries[0].N, story.Tries[0].Status, story.Tries[1].Status, story.Tries[1].Error, story.Tries[1].Took), "4 0 500 answered 500 1s")
	_, err = b.c.DeliveryHistory(b.ctx, "other", d.ID)
	b.wantKind(err, domain.KindNotFound)
}

func replayed(b *bench) {
	b.endpoint("acme")
	b.event()
	b.event()
	first := b.sends(1)[0]
	b.ok(first)
	second := b.sends(1)[0]
	b.must(b.c.RecordDelivery(b.ctx, second, catalog.DeliveryOutcome{Status: 500, Error: "x", RetryIn: -1}))
	replay := func(q catalog.DeliveryQuery, want int) {
		b.Helper()
		q.Tenant = "acme"
		n, err := b.c.ReplayDeliveries(b.ctx, q, anyone)
		b.must(err)
		equal(b, "replayed", n, want)
	}
	replay(catalog.DeliveryQuery{State: catalog.DeliveryFailed}, 1)
	again := b.sends(1)[0]
	equal(b, "event", again.Event, second.Event)
	equal(b, "tries", again.Tries, 0)
	replay(catalog.DeliveryQuery{ID: again.ID}, 0) // it is under way
	b.ok(again)
	replay(catalog.DeliveryQuery{ID: first.ID}, 1)
	equal(b, "event", b.sends(1)[0].Event, first.Event)
	replay(catalog.DeliveryQuery{Day: b.day.Add(-99)}, 0)
	replay(catalog.DeliveryQuery{Day: b.day.Add(-1)}, 1)
	_, err := b.c.ReplayDeliveries(b.ctx, catalog.DeliveryQuery{Tenant: "acme"}, anyone)
	b.wantKind(err, domain.KindInvalid)
	_, err = b.c.ReplayDeliveries(b.ctx, catalog.DeliveryQuery{Tenant: "acme", ID: "whd_x"}, anyone)
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.ReplayDeliveries(b.ctx, catalog.DeliveryQuery{Tenant: "nobody", Day: b.day}, anyone)
	b.wantKind(err, domain.KindNotFound)
	equal(b, "log", b.actions(1), "[admin webhook.replay]")
}

func deliveryLog(b *bench) {
	b.endpoint("acme")
	for range 5 {
		b.event()
	}
	var days []string
	q := catalog.DeliveryQuery{Limit: 2}
	for {
		page := b.deliveries(q)
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
		want = append(want, string(b.day.Add(-4+i)))
	}
	equal(b, "days, latest event first", strings.Join(days, " "), strings.Join(want, " "))
	equal(b, "of one day", len(b.deliveries(catalog.DeliveryQuery{Day: b.day.Add(-2)})), 1)
	equal(b, "of a state", len(b.deliveries(catalog.DeliveryQuery{State: catalog.DeliveryDelivered})), 0)
	equal(b, "of another tenant", len(b.deliveries(catalog.DeliveryQuery{Tenant: "x"})), 0)
}

func sweptEvents(b *bench) {
	b.endpoint("acme")
	b.event()
	d := b.sends(1)[0]
	b.ok(d)
	b.pass(20 * 24 * time.Hour)
	b.serial += 50
	b.event()
	sweep := func(want int) {
		b.Helper()
		n, err := b.c.SweepWebhooks(b.ctx, 10*24*time.Hour, 100)
		b.must(err)
		equal(b, "swept", n, want)
	}
	b.must(b.c.PauseDeletions(b.ctx, time.Hour))
	sweep(0)
	b.pass(2 * time.Hour)
	sweep(1)
	sweep(0)
	equal(b, "left", len(b.deliveries(catalog.DeliveryQuery{})), 1)
	_, err := b.c.DeliveryHistory(b.ctx, "acme", d.ID)
	b.wantKind(err, domain.KindNotFound)
}

func attemptsBounded(b *bench) {
	b.endpoint("acme")
	b.event()
	var id string
	for range 25 {
		d := b.sends(1)[0]
		id = d.ID
		b.must(b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Status: 500, Error: "x"}))
	}
	story, err := b.c.DeliveryHistory(b.ctx, "acme", id)
	b.must(err)
	equal(b, "attempts", words(story.Attempts, len(story.Tries), story.Tries[0].N), "25 20 25")
}

// mendedDeliveries is a clock that was ahead for a month and is right again: what was to be tried by
// the wrong one is tried by the right one, and a claim of then keeps nobody waiting.
func mendedDeliveries(b *bench) {
	b.endpoint("acme")
	b.endpoint("acme")
	const ahead = 30 * 24 * time.Hour
	b.serial = 1 // days that are reopened, whatever the clock says
	b.pass(ahead)
	b.event()
	b.event()
	list := b.sends(2) // whoever holds these is killed
	b.must(b.c.RecordDelivery(b.ctx, list[0], catalog.DeliveryOutcome{Status: 500, Error: "x", RetryIn: time.Hour}))
	b.pass(-ahead)
	equal(b, "taken", len(b.claims(9)), 0)
	_, err := b.c.SweepWebhooks(b.ctx, ahead, 100)
	b.must(err)
	for range 2 {
		for _, d := range b.sends(2) {
			b.ok(d)
		}
	}
	equal(b, "left", len(b.claims(9)), 0)

	b.event()
	for _, d := range b.sends(2) { // what is as it should be stays so
		b.must(b.c.RecordDelivery(b.ctx, d, catalog.DeliveryOutcome{Status: 429, Error: "x", RetryIn: 25 * time.Hour}))
	}
	b.event()
	held := b.sends(1)[0]
	_, err = b.c.SweepWebhooks(b.ctx, ahead, 100)
	b.must(err)
	b.ok(held)
	b.ok(b.sends(1)[0])
	equal(b, "left", len(b.claims(9)), 0)
}

// returnedDelivery is one that could not be signed: what else waits for its endpoint waits too, and
// nobody else's.
func returnedDelivery(b *bench) {
	b.endpoint("acme")
	for range 3 {
		b.event()
	}
	first, second := b.sends(1)[0], b.sends(1)[0]
	b.newTenant("small", 3)
	b.endpoint("small")
	b.eventOf("small", b.day)
	b.must(b.c.ReturnDeliveries(b.ctx, []catalog.DeliveryClaim{first}, 10*time.Minute))
	equal(b, "of whom", b.sends(1)[0].Endpoint.Tenant, "small")
	equal(b, "taken too early", len(b.claims(9)), 0)
	b.ok(second)
	b.pass(11 * time.Minute)
	for range 2 {
		found := map[string]bool{}
		for _, d := range b.claims(9) {
			found[d.Endpoint.Tenant] = true
			b.ok(d)
		}
		equal(b, "taken then", found["acme"], true)
	}
	b.event()
	d := b.sends(1)[0]
	b.event()
	b.must(b.c.ReturnDeliveries(b.ctx, []catalog.DeliveryClaim{d}, 0)) // given back by a process that stops: that says nothing of others
	b.sends(1)
	b.sends(1)
}
