package plan

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

// Days is what the catalog does with whole days.
type Days interface {
	PlanDay(ctx context.Context, tenant string, day domain.Day) (catalog.PlanResult, error)
	UnplannedDays(ctx context.Context, until domain.Day, limit int) ([]catalog.DayKey, error)
	ExpireDays(ctx context.Context, limit int) ([]catalog.EndedDay, error)
	SealDays(ctx context.Context, limit int) (int, error)
	TellShort(ctx context.Context, grace time.Duration, limit int) ([]catalog.DayKey, error)
}

// EmptyDays is what the catalog knows of days without any recording.
type EmptyDays interface {
	EmptyDays(ctx context.Context, day domain.Day, limit int) ([]catalog.DayKey, error)
	LongestRetention(ctx context.Context) (int, error)
}

// Backfill is what the catalog knows of tenants whose past empty days are to be planned.
type Backfill interface {
	NeedsBackfill(ctx context.Context) (bool, error)
	BackfillTenants(ctx context.Context, limit int) ([]catalog.BackfillTenant, error)
	BackfillDays(ctx context.Context, t catalog.BackfillTenant, until domain.Day, limit int) ([]catalog.DayKey, error)
	BackfillDone(ctx context.Context, t catalog.BackfillTenant) error
}

// Hours is what the catalog does with hours that nobody builds.
type Hours interface {
	RepairHours(ctx context.Context) (int, error)
	AnyDue(ctx context.Context) (bool, error)
	ReleaseLapsed(ctx context.Context, limit int) ([]domain.HourKey, error)
	Rebuild(ctx context.Context, r catalog.RebuildRequest) (due int, err error)
}

// Dispatches is which hours are due, and which were dispatched and are not built yet.
type Dispatches interface {
	DueHours(ctx context.Context, epoch string, perTenant, limit int) ([]catalog.DueHour, error)
	Outstanding(ctx context.Context, epoch string, age time.Duration, limit int) ([]catalog.DueHour, error)
	Dispatched(ctx context.Context, key domain.HourKey, last int64, epoch string) (bool, error)
	Undispatched(ctx context.Context, key domain.HourKey, dispatch int64) error
	NextDue(ctx context.Context) (due int, next time.Time, err error)
}

// Clock is the catalog's time.
type Clock interface {
	CheckClock(ctx context.Context, last time.Time, elapsed time.Duration) (clock.Reading, error)
	RepairDays(ctx context.Context, limit int) (int, error)
}

// Hourly is what is remembered for an hour or two: the counters of hourly limits, and what the
// audit log tells once an hour.
type Hourly interface {
	PurgeWindows(ctx context.Context, limit int) (int, error)
	PurgeOnce(ctx context.Context, limit int) error
}

// Catalog is what a Planner needs of the catalog.
type Catalog interface {
	Days
	EmptyDays
	Backfill
	Hours
	Dispatches
	Clock
	Hourly
}

// Queue takes dispatches. Errors: KindUnavailable.
type Queue interface {
	Epoch(ctx context.Context) (string, error)
	Slots(ctx context.Context) (int, error)
	Enqueue(ctx context.Context, key domain.HourKey, dispatch int64) error
	State(ctx context.Context, key domain.HourKey, dispatch int64) (queue.State, error)
}

// Config bounds a Planner. Zero fields take the defaults.
type Config struct {
	Schedule      cron.Schedule // when the days before are planned; in UTC
	MaxDays       int           // days planned or ended in one pass (500)
	MaxHours      int           // hours dispatched in one pass (1,000)
	MaxLookups    int           // dispatches looked up in Redis in one pass (10,000)
	DispatchAge   time.Duration // age from which a dispatch is looked up (1 min)
	TotalsGrace   time.Duration // how long a day may be short of its totals before its tenant is told (6 h)
	EmptyInterval time.Duration // how often empty days of all tenants are looked for (1 h)

	// Tracer makes the spans of passes that do something; none when nil.
	Tracer trace.TracerProvider
}

func (c Config) withDefaults() Config {
	c.MaxDays = cmp.Or(c.MaxDays, 500)
	c.MaxHours = cmp.Or(c.MaxHours, 1000)
	c.MaxLookups = cmp.Or(c.MaxLookups, 10_000)
	c.DispatchAge = cmp.Or(c.DispatchAge, time.Minute)
	c.TotalsGrace = cmp.Or(c.TotalsGrace, 6*time.Hour)
	c.EmptyInterval = cmp.Or(c.EmptyInterval, time.Hour)
	return c
}

// Planner runs passes. It is safe for concurrent use; passes of one Planner run one after the
// other.
type Planner struct {
	cfg     Config
	catalog Catalog
	queue   Queue
	now     func() time.Time
	log     *zap.Logger
	tracer  trace.Tracer

	mu       sync.Mutex
	closed   closedDays
	search   emptySearch
	clock    clock.Watch
	trusted  bool // the last pass may end days by the clock
	repaired bool // nothing is left of what was planned by a clock that was ahead
}

// New makes a Planner. now is the process's clock, of which only differences are used: every
// decision about data goes by the catalog's time.
func New(cfg Config, c Catalog, q Queue, now func() time.Time, log *zap.Logger) *Planner {
	return &Planner{
		cfg: cfg.withDefaults(), catalog: c, queue: q, now: now, log: log.Named("plan"), tracer: telemetry.Tracer(cfg.Tracer),
		clock: clock.Watch{Catalog: c, Now: now},
	}
}

// Report is what a pass did and what is left to do.
type Report struct {
	Now          time.Time // the catalog's
	Planned      int       // days that were planned
	Empty        int       // of these, days without any recording
	Expired      int       // days ended
	Short        int       // tenants that were told of a day that is short of its totals
	Repaired     int       // hours that should have been due and were not
	Undone       int       // days that were planned or settled by a clock that was ahead
	Released     int       // claims freed because their lease lapsed
	Dispatched   int       // hours dispatched
	Redispatched int       // of these, because their task was gone
	Waiting      int       // hours due now that nobody builds yet
	NextDue      time.Time // when the next hour will be due; zero if none
	NextFiring   time.Time // when the schedule plans the next day; zero if never
	More         bool      // a bound was met: there is more to do now
}

// FullPass runs all steps. A step that fails does not stop the others; the errors come back joined.
func (p *Planner) FullPass(ctx context.Context) (Report, error) {
	return p.pass(ctx, "plan pass", p.repairDays, p.planClosed, p.planEmptyDays, p.repairHours, p.sealDays, p.tellShort, p.expire, p.purge, p.releaseLapsed, p.redispatch, p.dispatch, p.nextDue)
}

// DispatchPass runs the steps that workers wait for: it frees lapsed claims and dispatches due
// hours.
func (p *Planner) DispatchPass(ctx context.Context) (Report, error) {
	return p.pass(ctx, "dispatch pass", p.releaseLapsed, p.dispatch, p.nextDue)
}

// AnyDue says whether an hour is due that nobody builds yet. It costs less than a pass.
func (p *Planner) AnyDue(ctx context.Context) (bool, error) { return p.catalog.AnyDue(ctx) }

type step func(ctx context.Context, r *Report) error

func (p *Planner) pass(ctx context.Context, name string, steps ...step) (r Report, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, end := p.begin(ctx, name)
	defer func() { end(&r, err) }()
	if err := p.checkClock(ctx, &r); err != nil {
		return r, err // no step works without the catalog
	}
	var errs []error
	for _, run := range steps {
		if err := run(ctx, &r); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
	return r, errors.Join(errs...)
}

// Archive makes hours of a day due now and dispatches them. It says how many are due.
// Errors as catalog.Rebuild, and KindUnavailable with how many are due when only dispatching
// failed: the next pass of any planner dispatches them.
func (p *Planner) Archive(ctx context.Context, r catalog.RebuildRequest) (int, error) {
	// The hours' builds belong to the trace of who asked for them.
	ctx, span := p.tracer.Start(ctx, "archive day", trace.WithAttributes(
		attribute.String("callvault.tenant", r.Tenant), attribute.String("callvault.day", string(r.Day)), attribute.Int("callvault.hour", r.Hour)))
	defer span.End()
	due, err := p.catalog.Rebuild(ctx, r)
	telemetry.Failed(span, err)
	if err != nil || due == 0 {
		return 0, err // a count with an error says that only dispatching failed
	}
	_, err = p.DispatchPass(ctx)
	return due, err
}

// repairDays undoes what was planned or settled at a time in the future, by a clock that was
// ahead. It runs once after the start and after every step of the clock, as soon as the clock is
// trusted.
func (p *Planner) repairDays(ctx context.Context, r *Report) (err error) {
	if !p.trusted || p.repaired {
		return nil
	}
	r.Undone, err = p.catalog.RepairDays(ctx, p.cfg.MaxDays)
	if r.Undone > 0 {
		p.log.Warn("days that a clock ahead of its time had planned or settled wait again", zap.Int("days", r.Undone), telemetry.In(ctx))
	}
	p.repaired = err == nil && r.Undone < p.cfg.MaxDays
	r.More = r.More || r.Undone == p.cfg.MaxDays
	return err
}

func (p *Planner) repairHours(ctx context.Context, r *Report) (err error) {
	r.Repaired, err = p.catalog.RepairHours(ctx)
	return err
}

// sealDays seals what programs of a former version have settled or built.
func (p *Planner) sealDays(ctx context.Context, r *Report) error {
	sealed, err := p.catalog.SealDays(ctx, p.cfg.MaxDays)
	r.More = r.More || sealed == p.cfg.MaxDays
	return err
}

// tellShort runs before expire, because nobody is told of a day that has ended.
func (p *Planner) tellShort(ctx context.Context, r *Report) error {
	told, err := p.catalog.TellShort(ctx, p.cfg.TotalsGrace, p.cfg.MaxDays)
	r.Short = len(told)
	r.More = r.More || r.Short == p.cfg.MaxDays
	for _, k := range told {
		p.log.Warn("a day has fewer recordings than its totals say", zap.String("tenant", k.Tenant), zap.String("day", string(k.Day)), telemetry.In(ctx))
	}
	return err
}

func (p *Planner) expire(ctx context.Context, r *Report) error {
	ended, err := p.catalog.ExpireDays(ctx, p.cfg.MaxDays)
	r.Expired = len(ended)
	r.More = r.More || r.Expired == p.cfg.MaxDays
	for _, e := range ended {
		if e.Unbuilt > 0 {
			p.log.Warn("a day ended before all of it was in an archive; archive it with --reopen", zap.String("tenant", e.Tenant),
				zap.String("day", string(e.Day)), zap.Int("hours", e.Unbuilt), telemetry.In(ctx))
		}
	}
	return err
}

func (p *Planner) releaseLapsed(ctx context.Context, r *Report) error {
	freed, err := p.catalog.ReleaseLapsed(ctx, p.cfg.MaxHours)
	r.Released = len(freed)
	if len(freed) > 0 {
		ctx = startSpan(ctx)
	}
	for _, key := range freed {
		p.log.Warn("a builder vanished; its hour is free again", zap.String("tenant", key.Tenant),
			zap.String("day", string(key.Day)), zap.Int("hour", key.Hour), telemetry.In(ctx))
	}
	return err
}

func (p *Planner) nextDue(ctx context.Context, r *Report) (err error) {
	r.Waiting, r.NextDue, err = p.catalog.NextDue(ctx)
	return err
}
