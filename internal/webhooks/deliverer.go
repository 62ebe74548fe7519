package webhooks

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

// Config sizes a Deliverer. Zero fields take the defaults.
type Config struct {
	Slots        int           // senders at once (32)
	PerEndpoint  int           // senders to one endpoint, over all replicas (2)
	PerTenant    int           // senders to all endpoints of a tenant, over all replicas, roughly (8)
	Batch        int           // deliveries to one endpoint that one sender claims and sends in turn (16)
	Interval     time.Duration // between two claims while nothing is due (1 s)
	ClaimTimeout time.Duration // of one claim; then the catalog is asked again (30 s)
	Lease        time.Duration // how long a claim outlives its process (1 min)
	DrainTimeout time.Duration // how long a stopping process waits for its senders (5 s)
	Keep         time.Duration // how long events and their log are kept (30 days)
	// OnAttempt, when set, is called for each try, for metrics.
	OnAttempt func(event string, a outbox.DeliveryOutcome)
}

// DefaultKeep is how long events and the log of their deliveries are kept.
const DefaultKeep = 30 * 24 * time.Hour

const (
	sweepEvery    = time.Hour
	sweepBatch    = 500
	sweepTimeout  = 5 * time.Minute
	recordTimeout = 10 * time.Second // for storing an outcome in the catalog, with all tries
	recordTries   = 4
	unsignedWait  = time.Minute // until a delivery that could not be signed is tried again
	batchTime     = time.Second // after it a sender begins no other delivery, so that other endpoints get its slot
)

func (c Config) withDefaults() Config {
	c.Slots, c.PerEndpoint, c.PerTenant, c.Batch = cmp.Or(c.Slots, 32), cmp.Or(c.PerEndpoint, 2), cmp.Or(c.PerTenant, 8), cmp.Or(c.Batch, 16)
	c.Interval, c.ClaimTimeout = cmp.Or(c.Interval, time.Second), cmp.Or(c.ClaimTimeout, 30*time.Second)
	c.Lease, c.DrainTimeout = cmp.Or(c.Lease, time.Minute), cmp.Or(c.DrainTimeout, 5*time.Second)
	c.Keep = cmp.Or(c.Keep, DefaultKeep)
	if c.OnAttempt == nil {
		c.OnAttempt = func(string, outbox.DeliveryOutcome) {}
	}
	return c
}

// Store holds the deliveries and their outcomes. Errors: KindLost when a claim is gone,
// KindUnavailable.
type Store interface {
	ClaimDeliveries(ctx context.Context, f outbox.DeliveryLimits, lease time.Duration, limit int) ([][]outbox.DeliveryClaim, error)
	RecordDelivery(ctx context.Context, d outbox.DeliveryClaim, a outbox.DeliveryOutcome) error
	ReturnDeliveries(ctx context.Context, batch []outbox.DeliveryClaim, wait time.Duration) error
	SweepWebhooks(ctx context.Context, keep time.Duration, limit int) (int, error)
}

// Deliverer sends due deliveries. Several may run: a delivery is claimed before it is sent.
type Deliverer struct {
	cfg    Config
	store  Store
	sender *Sender
	slots  chan struct{}
	ended  chan struct{} // signals that a sender ended, so there may be more to claim
	log    *zap.Logger
}

// NewDeliverer makes a Deliverer.
func NewDeliverer(cfg Config, store Store, sender *Sender, log *zap.Logger) *Deliverer {
	cfg = cfg.withDefaults()
	return &Deliverer{cfg: cfg, store: store, sender: sender, slots: make(chan struct{}, cfg.Slots), ended: make(chan struct{}, 1), log: log.Named("webhooks")}
}

// Run delivers until ctx ends. Tries that run then have DrainTimeout to end; other deliveries go
// back to the catalog and are sent again. An outage of the catalog is logged when it begins and
// when it ends.
func (d *Deliverer) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer func() {
		drain := time.AfterFunc(d.cfg.DrainTimeout, cancel)
		running.Wait()
		drain.Stop()
		cancel()
	}()
	failing := false
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	poll := time.NewTimer(0)
	defer poll.Stop()
	for {
		var err error
		n := 0
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			err = d.sweep(ctx)
			sweep.Reset(sweepEvery)
		case <-d.ended:
			n, err = d.claim(ctx, sending, &running)
		case <-poll.C:
			n, err = d.claim(ctx, sending, &running)
			poll.Reset(d.cfg.Interval)
		}
		if n > 0 { // one claim takes one batch of each endpoint, so more may be due
			d.wake()
		}
		failing = d.logOutage(ctx, err, failing)
	}
}

// logOutage logs when failures begin and end.
func (d *Deliverer) logOutage(ctx context.Context, err error, failing bool) bool {
	switch {
	case ctx.Err() != nil:
		return failing
	case err != nil && !failing:
		d.log.Warn("the catalog cannot be asked for deliveries; trying on", zap.Error(err))
	case err == nil && failing:
		d.log.Info("deliveries go on")
	}
	return err != nil
}

func (d *Deliverer) wake() {
	select {
	case d.ended <- struct{}{}:
	default: // the next claim is signalled already
	}
}

// claim claims a batch for each free slot, sends them, and returns how many it claimed.
func (d *Deliverer) claim(ctx, sending context.Context, running *sync.WaitGroup) (int, error) {
	free := cap(d.slots) - len(d.slots) // only claim fills them
	if free == 0 {
		return 0, nil
	}
	claiming, cancel := context.WithTimeout(ctx, d.cfg.ClaimTimeout)
	defer cancel()
	limits := outbox.DeliveryLimits{Endpoint: d.cfg.PerEndpoint, Tenant: d.cfg.PerTenant, Batch: d.cfg.Batch}
	batches, err := d.store.ClaimDeliveries(claiming, limits, d.cfg.Lease, free)
	for _, batch := range batches {
		d.slots <- struct{}{}
		running.Go(func() {
			defer func() {
				<-d.slots
				d.wake()
			}()
			d.deliver(ctx, sending, batch)
		})
	}
	return len(batches), err
}

// deliver tries each delivery of a batch once, until ctx ends or batchTime is over. It stores an
// outcome while it sends the next delivery. Deliveries that were not tried go back to the catalog.
func (d *Deliverer) deliver(ctx, sending context.Context, batch []outbox.DeliveryClaim) {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	var recording sync.WaitGroup
	defer recording.Wait()
	for len(batch) > 0 {
		claim := batch[0]
		log := d.log.With(zap.String("tenant", claim.Endpoint.Tenant), zap.String("endpoint", claim.Endpoint.ID), zap.String("event", claim.Event),
			zap.String("type", claim.Type))
		a, err := d.sender.Send(sending, &claim)
		switch {
		case err != nil:
			log.Error("an event can't be signed", zap.Error(err))
			d.returnClaims(log, batch, unsignedWait)
			return
		case sending.Err() != nil && !a.Delivered: // the stop broke the try off, so its outcome is unknown
			d.returnClaims(log, batch, 0)
			return
		}
		d.logAttempt(log, claim, a)
		recording.Wait()
		recording.Go(func() {
			d.record(log, func(ctx context.Context) error { return d.store.RecordDelivery(ctx, claim, a) })
		})
		batch = batch[1:]
		if ctx.Err() != nil || a.Gone {
			d.returnClaims(log, batch, 0)
			return
		}
	}
}

// returnClaims gives claims back to the catalog. They can be claimed again after wait.
func (d *Deliverer) returnClaims(log *zap.Logger, batch []outbox.DeliveryClaim, wait time.Duration) {
	if len(batch) > 0 {
		d.record(log, func(ctx context.Context) error { return d.store.ReturnDeliveries(ctx, batch, wait) })
	}
}

func (d *Deliverer) logAttempt(log *zap.Logger, claim outbox.DeliveryClaim, a outbox.DeliveryOutcome) {
	d.cfg.OnAttempt(claim.Type, a)
	switch {
	case a.Delivered:
		log.Debug("delivered", zap.Int("status", a.Status), zap.Duration("took", a.Took))
	case a.Gone:
		log.Warn("a webhook is disabled: its receiver answered 410", zap.Int("tries", claim.Tries+1))
	case a.RetryIn < 0:
		log.Warn("a delivery failed for good", zap.Int("status", a.Status), zap.String("reason", a.Error), zap.Int("tries", claim.Tries+1))
	default:
		log.Info("a delivery failed; it is tried again", zap.Int("status", a.Status), zap.String("reason", a.Error), zap.Duration("after", a.RetryIn))
	}
}

// record writes to the catalog and retries after an error. If all tries fail, the claim lapses and
// the event is sent again.
func (d *Deliverer) record(log *zap.Logger, write func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	var err error
	for try := range recordTries {
		if err = write(ctx); err == nil {
			return
		}
		if errors.Is(err, domain.ErrLost) {
			log.Info("a delivery took longer than its claim, or was replayed meanwhile")
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond << try):
		}
	}
	log.Warn("what became of a delivery can't be written down; it is sent once more", zap.Error(err))
}

// sweep deletes old events.
func (d *Deliverer) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	for {
		n, err := d.store.SweepWebhooks(ctx, d.cfg.Keep, sweepBatch)
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
