package webhooks

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// Config sizes a Deliverer. Zero fields take the defaults.
type Config struct {
	Slots    int           // senders at once (32)
	Endpoint int           // senders to one endpoint, over all replicas (2)
	Batch    int           // deliveries to one endpoint that are taken at once, to be sent one after the other (16)
	Tenant   int           // senders to all endpoints of a tenant, over all replicas, roughly (8)
	Interval time.Duration // between two looks while nothing is due (1 s)
	Look     time.Duration // how long a look may take: a catalog that hangs is asked anew (30 s)
	Lease    time.Duration // how long a claim outlives its process (1 min)
	Linger   time.Duration // how long a stopping process waits for what is under way (5 s)
	Keep     time.Duration // how long events and their log are kept (30 days)
	// OnAttempt, when set, is told of each try, for metrics.
	OnAttempt func(event string, a catalog.DeliveryOutcome)
}

// DefaultKeep is how long events and the log of their deliveries are kept.
const DefaultKeep = 30 * 24 * time.Hour

const (
	sweepEvery  = time.Hour
	sweepBatch  = 500
	sweepTime   = 5 * time.Minute
	recordTime  = 10 * time.Second // for telling the catalog
	recordTries = 4
	blockedWait = time.Minute // until what could not be signed is looked at again
	batchTime   = time.Second // after which no other delivery of a batch begins: the slot is somebody else's
)

func (c Config) withDefaults() Config {
	for _, n := range []struct {
		field *int
		value int
	}{{&c.Slots, 32}, {&c.Endpoint, 2}, {&c.Tenant, 8}, {&c.Batch, 16}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Interval, time.Second}, {&c.Look, 30 * time.Second}, {&c.Lease, time.Minute}, {&c.Linger, 5 * time.Second}, {&c.Keep, DefaultKeep}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.OnAttempt == nil {
		c.OnAttempt = func(string, catalog.DeliveryOutcome) {}
	}
	return c
}

// Store hands out what is to be delivered and remembers what became of it. Errors: KindLost when
// a claim is gone, KindUnavailable.
type Store interface {
	ClaimDeliveries(ctx context.Context, f catalog.DeliveryLimits, lease time.Duration, limit int) ([][]catalog.DeliveryClaim, error)
	RecordDelivery(ctx context.Context, d catalog.DeliveryClaim, a catalog.DeliveryOutcome) error
	ReturnDeliveries(ctx context.Context, batch []catalog.DeliveryClaim, wait time.Duration) error
	SweepWebhooks(ctx context.Context, keep time.Duration, limit int) (int, error)
}

// Deliverer sends what is due. Several may run: claims keep them apart.
type Deliverer struct {
	cfg    Config
	store  Store
	sender *Sender
	slots  chan struct{}
	ended  chan struct{} // a delivery ended, so more may be due
	log    *zap.Logger
}

// NewDeliverer makes a Deliverer.
func NewDeliverer(cfg Config, store Store, sender *Sender, log *zap.Logger) *Deliverer {
	cfg = cfg.withDefaults()
	return &Deliverer{cfg: cfg, store: store, sender: sender, slots: make(chan struct{}, cfg.Slots), ended: make(chan struct{}, 1), log: log.Named("webhooks")}
}

// Run delivers until ctx ends. What is under way then may end within a moment; what does not is
// given back, to be sent once more. Failures are logged when they begin and when they end.
func (d *Deliverer) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer func() {
		linger := time.AfterFunc(d.cfg.Linger, cancel)
		running.Wait()
		linger.Stop()
		cancel()
	}()
	failing := false
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
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
			n, err = d.pass(ctx, sending, &running)
		case <-look.C:
			n, err = d.pass(ctx, sending, &running)
			look.Reset(d.cfg.Interval)
		}
		if n > 0 { // a look takes one batch of each endpoint, so there may be more
			d.wake()
		}
		failing = d.tell(ctx, err, failing)
	}
}

// tell logs when failures begin and end.
func (d *Deliverer) tell(ctx context.Context, err error, failing bool) bool {
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
	default: // it will look already
	}
}

// pass takes what is due as far as there are free slots, and says how many it took.
func (d *Deliverer) pass(ctx, sending context.Context, running *sync.WaitGroup) (int, error) {
	free := cap(d.slots) - len(d.slots) // only pass fills them
	if free == 0 {
		return 0, nil
	}
	looking, cancel := context.WithTimeout(ctx, d.cfg.Look)
	defer cancel()
	batches, err := d.store.ClaimDeliveries(looking, catalog.DeliveryLimits{Endpoint: d.cfg.Endpoint, Tenant: d.cfg.Tenant, Batch: d.cfg.Batch}, d.cfg.Lease, free)
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

// deliver tries each delivery of a batch once, until ctx ends or batchTime is over. The catalog is told
// of each while the next is sent. What is not tried is given back.
func (d *Deliverer) deliver(ctx, sending context.Context, batch []catalog.DeliveryClaim) {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	var telling sync.WaitGroup
	defer telling.Wait()
	for len(batch) > 0 {
		claim := batch[0]
		log := d.log.With(zap.String("tenant", claim.Endpoint.Tenant), zap.String("endpoint", claim.Endpoint.ID), zap.String("event", claim.Event),
			zap.String("type", claim.Type))
		a, err := d.sender.Send(sending, &claim)
		switch {
		case err != nil:
			log.Error("an event can't be signed", zap.Error(err))
			d.giveBack(log, batch, blockedWait)
			return
		case sending.Err() != nil && !a.Delivered: // the process stops: nobody knows whether it arrived
			d.giveBack(log, batch, 0)
			return
		}
		d.logAttempt(log, claim, a)
		telling.Wait()
		telling.Go(func() {
			d.insist(log, func(ctx context.Context) error { return d.store.RecordDelivery(ctx, claim, a) })
		})
		batch = batch[1:]
		if ctx.Err() != nil || a.Gone {
			d.giveBack(log, batch, 0)
			return
		}
	}
}

// giveBack returns claims to the catalog, to be taken again after wait.
func (d *Deliverer) giveBack(log *zap.Logger, batch []catalog.DeliveryClaim, wait time.Duration) {
	if len(batch) > 0 {
		d.insist(log, func(ctx context.Context) error { return d.store.ReturnDeliveries(ctx, batch, wait) })
	}
}

func (d *Deliverer) logAttempt(log *zap.Logger, claim catalog.DeliveryClaim, a catalog.DeliveryOutcome) {
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

// insist tells the catalog something, several times if need be. If it never gets through, the claim
// lapses and the event is sent once more.
func (d *Deliverer) insist(log *zap.Logger, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), recordTime)
	defer cancel()
	var err error
	for try := range recordTries {
		if err = do(ctx); err == nil {
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

// sweep forgets old events.
func (d *Deliverer) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	for {
		n, err := d.store.SweepWebhooks(ctx, d.cfg.Keep, sweepBatch)
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
