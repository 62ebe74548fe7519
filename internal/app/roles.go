package app

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/scheduler"
	"github.com/callvault/callvault/worker"
	"github.com/callvault/callvault/worker/patrol"
)

// Serving is a started process.
type Serving struct {
	URL   string // of its HTTP listener
	Parts *Parts
}

// Serve runs the roles until ctx ends, and stops them in order. It calls started, which may be nil,
// when everything listens.
func Serve(ctx context.Context, cfg config.Config, roles []config.Role, log *zap.Logger, started func(Serving)) error {
	g := NewGroup(log, cfg.DrainTimeout)
	s, err := assemble(ctx, cfg, roles, g, log)
	if err != nil {
		return g.Abandon(err)
	}
	if started != nil {
		started(*s)
	}
	return g.Run(ctx)
}

// ServeWhile runs all roles for as long as work takes.
func ServeWhile(ctx context.Context, cfg config.Config, log *zap.Logger, work func(ctx context.Context, s Serving) error) error {
	g := NewGroup(log, cfg.DrainTimeout)
	s, err := assemble(ctx, cfg, config.Roles(), g, log)
	if err != nil {
		return g.Abandon(err)
	}
	return runWhile(ctx, g, func(ctx context.Context) error { return work(ctx, *s) })
}

// WithWorker is WithParts. When the parts run in this process, it also runs a scheduler and a
// worker here, since no other process can build then; builds says that it does.
func WithWorker(ctx context.Context, cfg config.Config, log *zap.Logger, work func(ctx context.Context, p *Parts, builds bool) error) error {
	g := NewGroup(log, cfg.DrainTimeout)
	p, err := Open(ctx, cfg, nil, false, g, log)
	if err != nil {
		return g.Abandon(err)
	}
	if p.Embedded() {
		if err := p.RepeatErasures(ctx, log); err != nil {
			return g.Abandon(err)
		}
		p.addScheduler(g, log)
		p.addWorker(g, log)
	}
	return runWhile(ctx, g, func(ctx context.Context) error { return work(ctx, p, p.Embedded()) })
}

// assemble opens the parts and adds the roles to g, ready to run.
func assemble(ctx context.Context, cfg config.Config, roles []config.Role, g *Group, log *zap.Logger) (*Serving, error) {
	if err := addressFree(ctx, cfg, log); err != nil {
		return nil, err
	}
	p, err := openChecked(ctx, cfg, roles, g, log)
	if err != nil {
		return nil, err
	}
	var handler http.Handler
	server, err := Listen(ctx, "http", p.Config.Listen, p.afterErasures(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }),
		p.stopping(roles), log)
	if err != nil {
		return nil, err
	}
	g.Add(server.Component(StageAPI))
	url := "http://" + server.Addr()
	if p.Config.PublicURL == "" { // in standalone only: elsewhere it is a required setting
		p.Config.PublicURL = url
	}
	health := NewHealth(log.Named("health"), time.Now, p.checks()...)
	pages := map[string]http.HandlerFunc{livePath: health.Live, readyPath: health.Ready, metricsPath: p.measure(roles, health.Results)}
	handler = api.New(api.Config{}, api.Deps{Pages: pages, Log: log.Named("http"), Now: time.Now, Tracer: p.tracer(), Observe: p.observe()})
	for _, role := range roles {
		switch role {
		case config.API:
			if len(roles) == 1 && os.Getenv("GOMEMLIMIT") == "" {
				debug.SetMemoryLimit(apiMemory)
			}
			if handler, err = p.api(ctx, g, health, pages, log); err != nil {
				return nil, err
			}
		case config.Scheduler:
			s := p.addScheduler(g, log)
			health.Add(Check{Name: "scheduler", Probe: func(context.Context) error { return s.Ready() }})
		case config.Worker:
			if len(roles) == 1 && os.Getenv("GOGC") == "" {
				debug.SetGCPercent(workerGC)
			}
			p.addWorker(g, log)
		}
	}
	g.Add(health.Component())
	return &Serving{URL: url, Parts: p}, p.publish(url)
}

// openChecked opens the parts and checks that roles may work with them.
func openChecked(ctx context.Context, cfg config.Config, roles []config.Role, g *Group, log *zap.Logger) (*Parts, error) {
	p, err := Open(ctx, cfg, roles, true, g, log)
	if err != nil {
		return nil, err
	}
	if p.Standalone != nil {
		return nil, domain.Errorf(domain.KindConflict, "another callvault (pid %d, %s) runs on the data directory %s; stop it, or choose another directory with --data",
			p.Standalone.PID, p.Standalone.URL, absolute(cfg.Data))
	}
	if err := p.Catalog.DB().CheckSchema(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(p.loadCapabilities(ctx), p.store.refusal()); err != nil {
		return nil, err
	}
	if err := p.checkStore(ctx); err != nil {
		return nil, err
	}
	if err := p.checkInstallation(ctx, g, log); err != nil {
		return nil, err
	}
	p.repeatErasures(ctx, g, log)
	return p, nil
}

// addressFree finds out that a port is in use before a first start makes its data directory.
func addressFree(ctx context.Context, cfg config.Config, log *zap.Logger) error {
	if _, err := os.Stat(cfg.Data); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s, err := Listen(ctx, "http", cfg.Listen, nil, StopTimes{}, log)
	if err != nil {
		return err
	}
	s.abort(nil)
	return s.listener.Close()
}

// stopping gives the times of the roles' listener. Only an API delays its stop, and only when
// another API can take its callers: a process with embedded parts is alone.
func (p *Parts) stopping(roles []config.Role) StopTimes {
	s := StopTimes{Drain: p.Config.DrainTimeout}
	if slices.Contains(roles, config.API) && !p.Embedded() {
		s.Delay = min(p.Config.StopDelay, s.Drain/2)
	}
	return s
}

// publish writes the runtime file, which tells other commands where this process's parts are.
func (p *Parts) publish(url string) error {
	if !p.Embedded() {
		return nil
	}
	c := p.Config
	return p.Dir.Publish(Runtime{
		Started: time.Now().UTC(), URL: url, DatabaseURL: c.DatabaseURL.Reveal(), RedisURL: c.RedisURL.Reveal(),
		S3Endpoint: c.S3Endpoint, S3Region: c.S3Region, S3AccessKey: c.S3AccessKey.Reveal(), S3SecretKey: c.S3SecretKey.Reveal(),
		Recordings: c.Recordings, Archives: c.Archives, Prefix: c.Prefix,
	})
}

func (p *Parts) schedule(log *zap.Logger) cron.Schedule {
	schedule, err := config.ParseSchedule(p.Config.Schedule)
	if err != nil { // can't be: Finish has parsed it before
		log.Error("the schedule cannot be read; nothing is planned by time", zap.Error(err))
	}
	return schedule
}

// Planner makes a planner over the parts.
func (p *Parts) Planner(log *zap.Logger) *plan.Planner {
	return plan.New(plan.Config{Schedule: p.schedule(log), DispatchAge: p.Config.HealInterval,
		TotalsGrace: max(p.Config.TotalsGrace, time.Microsecond), Tracer: p.tracer()}, p.Catalog, p.Queue, time.Now, log)
}

func (p *Parts) addScheduler(g *Group, log *zap.Logger) *scheduler.Scheduler {
	s := scheduler.New(scheduler.Config{Schedule: p.schedule(log), Interval: p.Config.HealInterval, OnPass: p.metrics.Pass}, p.Planner(log), time.Now, log)
	g.Add(Component{Name: "scheduler", Stage: StageScheduler, Run: s.Run})
	p.addSealer(g, log)
	return s
}

// workerGC is the GOGC of a process that only builds. It costs little CPU, since a build's garbage
// is small beside its buffers, and lowers the peak of memory, by which operators size workers. GOGC
// in the environment takes precedence.
const workerGC = 25

// apiMemory is the GOMEMLIMIT of a process that only is an API, in bytes: near it garbage is
// collected at once, so that the garbage of large answers does not add up. It is no bound, for what
// is in use may be more. GOMEMLIMIT in the environment takes precedence.
const apiMemory = 160 << 20

func (p *Parts) addWorker(g *Group, log *zap.Logger) {
	c, recordings := p.Config, p.metrics.Sources(p.Recordings)
	sweeper := lifecycle.NewSweeper(lifecycle.SweepConfig{Interval: c.HealInterval, Lock: p.lockMode(), OnRefused: p.metrics.DeletionRefused, OnBroken: p.metrics.ArchiveBroken},
		p.Catalog, recordings, p.Archives, time.Now, log.Named("worker"))
	w := worker.New(worker.Config{
		Name: processName(), Slots: c.Concurrency, Memory: c.Memory, Stall: c.BuildStall,
		Drain: c.DrainTimeout, Lock: p.lockMode(), Archive: archiver.Config{}, Tracer: p.tracer(), OnBuild: p.countBuild,
	}, p.Queue, p.Catalog, recordings, p.Archives, sweeper, time.Now, log)
	g.Add(Component{Name: "worker", Stage: StageWorker, Run: p.afterOwnerCheck(w.Run), Drain: c.DrainTimeout})
	ends := lifecycle.NewEnds(lifecycle.EndsConfig{Interval: c.HealInterval, OnEnded: p.metrics.Ended}, p.Catalog.DB(), p.Catalog, recordings, time.Now, log.Named("worker"))
	deleter := lifecycle.NewDeleter(lifecycle.DeleterConfig{Interval: c.HealInterval, OnRefused: p.metrics.DeletionRefused, OnChanged: p.metrics.DeletionChanged},
		p.Catalog.DB(), p.Recordings, log.Named("worker"))
	g.Add(Component{Name: "ends", Stage: StageWorker, Run: p.afterOwnerCheck(ends.Run)})
	g.Add(Component{Name: "deletions", Stage: StageWorker, Run: p.afterOwnerCheck(deleter.Run)})
	p.addPatrol(g, recordings, log)
	eraser := p.Eraser(log.Named("worker"))
	g.Add(Component{Name: "erasures of the worker", Stage: StageWorker, Run: p.afterOwnerCheck(func(ctx context.Context) error { return eraser.Run(ctx, c.HealInterval) })})
	p.addDeliverer(g, log)
}

func (p *Parts) addPatrol(g *Group, recordings patrol.Bucket, log *zap.Logger) {
	every := time.Duration(p.Config.PatrolDays) * 24 * time.Hour
	reads := patrol.New(patrol.Config{Off: every == 0, Every: every, Interval: p.Config.HealInterval, OnRead: p.metrics.Patrolled, OnBroken: p.metrics.ArchiveBroken},
		p.Catalog, recordings, p.Archives, time.Now, log.Named("worker"))
	g.Add(Component{Name: "patrol", Stage: StageWorker, Run: p.afterOwnerCheck(reads.Run)})
}

// maxSkew is how far this host's clock may be from the catalog's in a process that is ready.
const maxSkew = 5 * time.Second

// checks are the process's readiness checks.
func (p *Parts) checks() []Check {
	list := []Check{
		{Name: "catalog", Probe: p.Catalog.DB().Ping},
		{Name: "objects", Probe: p.checkObjects},
		{Name: "queue", Probe: p.Queue.Ping},
		{Name: "erasures", Probe: p.checkErasures},
		{Name: "clock", Probe: func(ctx context.Context) error {
			at, err := p.Catalog.Now(ctx)
			if err != nil {
				return err
			}
			if skew := time.Since(at); skew.Abs() > maxSkew {
				return domain.Errorf(domain.KindUnavailable, "this host's clock is %s from the catalog's; synchronise both", skew.Round(time.Second))
			}
			return nil
		}},
	}
	if p.Embedded() {
		d := &diskCheck{dir: p.Dir.Path(), least: doctor.LeastFree, now: time.Now}
		list = append(list, Check{Name: "disk", Probe: d.check})
	}
	return list
}
