package patrol

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
)

// Catalog is what a Patrol needs of the catalog.
type Catalog interface {
	Rounds
	Faults
	PatrolledRecordings(ctx context.Context, after catalog.Position, limit int) ([]catalog.PatrolRecording, error)
	PatrolledArchives(ctx context.Context, after string, limit int) ([]catalog.PatrolArchive, error)
	SuspectArchives(ctx context.Context, age time.Duration, limit int) ([]catalog.PatrolArchive, error)
	ClearSuspect(ctx context.Context, objectKey, etag string) error
	LearnSums(ctx context.Context, tenant string, day domain.Day, origin string, sums []catalog.LearntSum) error
}

// Rounds are shared by all workers. Errors: KindLost when the claim is lost.
type Rounds interface {
	ClaimPatrol(ctx context.Context, kind string, every, lease time.Duration) (catalog.PatrolClaim, bool, error)
	EndPatrols(ctx context.Context) error
	RenewPatrol(ctx context.Context, c catalog.PatrolClaim, lease time.Duration) error
	SavePatrol(ctx context.Context, c catalog.PatrolClaim, last catalog.Position, objects, bytes int64, end bool) error
}

// Faults takes what was found.
type Faults interface {
	RecordingFault(ctx context.Context, r catalog.PatrolRecording, reason string, found *domain.SHA256) (bool, error)
	BrokenArchive(ctx context.Context, a catalog.PatrolArchive, reason, etag string) (bool, error)
	EndFault(ctx context.Context, f catalog.Fault) error
	FaultyRecordings(ctx context.Context, age time.Duration, limit int) ([]catalog.PatrolRecording, error)
}

// Bucket is read. Errors as of package objstore.
type Bucket interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

// Config bounds a Patrol. Zero fields take the defaults.
type Config struct {
	Off      bool          // nothing is read but what is faulty or suspect
	Every    time.Duration // within which everything is read again (30 days)
	Interval time.Duration // between two looks for something to read (1 min)
	Batch    int           // objects read under one claim (100)
	Span     time.Duration // after which a claim is given back (30 s)
	Lease    time.Duration // how long a claim outlives its worker (1 min)
	Rate     int64         // bytes a second that are read at least, of each kind (1 MiB)
	Recheck  time.Duration // how often what is faulty is looked at again (6 h)
	Retry    time.Duration // between two tries of an object that the store does not give (10 s)
	// OnRead, when set, is told of each object that was read, for metrics.
	OnRead func(kind string, bytes int64)
	// OnBroken, when set, is told of each archive that is built again, for metrics.
	OnBroken func()
}

func (c Config) withDefaults() Config {
	c.Every = cmp.Or(c.Every, 30*24*time.Hour)
	c.Interval = cmp.Or(c.Interval, time.Minute)
	c.Batch = cmp.Or(c.Batch, 100)
	c.Span = cmp.Or(c.Span, 30*time.Second)
	c.Lease = cmp.Or(c.Lease, time.Minute)
	c.Rate = cmp.Or(c.Rate, 1<<20)
	c.Recheck = cmp.Or(c.Recheck, 6*time.Hour)
	c.Retry = cmp.Or(c.Retry, 10*time.Second)
	if c.OnRead == nil {
		c.OnRead = func(string, int64) {}
	}
	if c.OnBroken == nil {
		c.OnBroken = func() {}
	}
	return c
}

// Patrol reads what is due to be read. Several may run at once, also in several processes.
type Patrol struct {
	cfg        Config
	catalog    Catalog
	recordings Bucket
	archives   Bucket
	now        func() time.Time
	log        *zap.Logger
}

// New makes a Patrol. now is the process's clock, for durations.
func New(cfg Config, c Catalog, recordings, archives Bucket, now func() time.Time, log *zap.Logger) *Patrol {
	return &Patrol{cfg: cfg.withDefaults(), catalog: c, recordings: recordings, archives: archives, now: now, log: log.Named("patrol")}
}

// Run patrols until ctx is cancelled. Failures never stop it; they are logged when they begin and
// when they end.
func (p *Patrol) Run(ctx context.Context) error {
	var runs sync.WaitGroup
	kinds := []string{catalog.PatrolFaults, catalog.PatrolRecordings, catalog.PatrolArchives}
	if p.cfg.Off {
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		runs.Go(func() {
			lifecycle.Repeat(ctx, p.cfg.Interval, nil, p.log.With(zap.String("kind", kind)), "patrolling", func(ctx context.Context) (bool, error) { return p.Step(ctx, kind) })
		})
	}
	runs.Wait()
	return nil
}

// Step goes on with the round of one kind for a while. more says that the round has not ended.
func (p *Patrol) Step(ctx context.Context, kind string) (more bool, err error) {
	every := p.cfg.Every
	if kind == catalog.PatrolFaults { // its round is what is due now
		every = 0
		if p.cfg.Off {
			if err := p.catalog.EndPatrols(ctx); err != nil {
				return false, err
			}
		}
		if due, err := p.suspects(ctx); err != nil || !due {
			return false, err
		}
	}
	claim, ok, err := p.catalog.ClaimPatrol(ctx, kind, every, p.cfg.Lease)
	if err != nil || !ok {
		return false, err
	}
	t := &turn{Patrol: p, claim: claim, last: claim.Position, limiter: p.limiter(claim.Round), ends: p.now().Add(p.cfg.Span)}
	end, failure := t.read(ctx)
	// What was read stays read, also when this worker is stopping.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := p.catalog.SavePatrol(saving, claim, t.last, t.objects, t.bytes, end); err != nil {
		return false, err
	}
	if end && kind != catalog.PatrolFaults {
		p.log.Info("the patrol has read everything", zap.String("kind", kind), zap.Int64("objects", claim.Round.Objects+t.objects), zap.Int64("bytes", claim.Round.Bytes+t.bytes))
	}
	return !end, failure
}

// suspects says whether something faulty or suspect is due to be looked at.
func (p *Patrol) suspects(ctx context.Context) (bool, error) {
	recordings, err := p.catalog.FaultyRecordings(ctx, p.cfg.Recheck, 1)
	if err != nil || len(recordings) > 0 {
		return err == nil, err
	}
	archives, err := p.catalog.SuspectArchives(ctx, p.cfg.Recheck, 1)
	return len(archives) > 0, err
}

// maxPiece is how many bytes are taken from the limiter at once.
const maxPiece = 1 << 20

// limiter gives the rate at which a round ends in four fifths of its time. The rest is for outages,
// and for what comes meanwhile.
func (p *Patrol) limiter(r catalog.PatrolRound) *rate.Limiter {
	perSecond := max(float64(r.Expected)/(p.cfg.Every.Seconds()*4/5), float64(p.cfg.Rate))
	return rate.NewLimiter(rate.Limit(perSecond), maxPiece)
}

// turn is what is read under one claim.
type turn struct {
	*Patrol
	claim   catalog.PatrolClaim
	limiter *rate.Limiter
	ends    time.Time
	last    catalog.Position // the last object that was read and reported
	objects int64            // how many
	bytes   int64
}

// read reads objects until the turn or the round ends. end says that it was the round. The claim is
// renewed meanwhile; once it is lost, nothing is read any more.
func (t *turn) read(ctx context.Context) (end bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { t.renew(ctx, cancel) })
	defer renewing.Wait()
	defer cancel(nil)
	switch t.claim.Kind {
	case catalog.PatrolArchives:
		end, err = t.readArchives(ctx)
	case catalog.PatrolFaults:
		end, err = true, t.recheck(ctx)
	default:
		end, err = t.readRecordings(ctx)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return end, err
}

// renew renews the claim until ctx ends. It cancels it when the claim is lost.
func (t *turn) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(t.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := t.catalog.RenewPatrol(ctx, t.claim, t.cfg.Lease); domain.KindOf(err) == domain.KindLost {
				cancel(err)
				return
			}
		}
	}
}

// done notes that an object was read and reported. It says whether the turn has ended.
func (t *turn) done(at catalog.Position, bytes int64) bool {
	t.last = at
	t.objects++
	t.bytes += bytes
	t.cfg.OnRead(t.claim.Kind, bytes)
	return !t.now().Before(t.ends)
}
