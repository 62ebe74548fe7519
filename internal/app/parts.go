package app

import (
	"context"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/metrics"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

// joinTimeout bounds the wait for another process that has locked the data directory.
const joinTimeout = 15 * time.Second

// Parts are the catalog, the object store and the queue of one process, opened.
type Parts struct {
	Config  config.Config // with the addresses of the embedded parts
	Catalog *catalog.Catalog
	Queue   *queue.Queue
	// The buckets of the object store.
	Recordings Recordings
	Archives   Archives
	// Standalone is the other process in which the embedded parts run; nil when they run in this
	// one, or when there are none.
	Standalone *Runtime
	// Dir is the data directory that this process has locked; nil when it needs none.
	Dir *DataDir

	s3           *objstore.Store // nil when the buckets are in the data directory
	prepared     Prepared
	ownerChecked atomic.Bool           // checkOwner has succeeded
	ownerKnown   chan struct{}         // closed when checkOwner succeeds; nil when it did so at the start
	erasuresLeft atomic.Pointer[error] // the last result of repeatErasures; nil before the first
	store        StoreCapabilities
	tracing      *telemetry.Tracing
	metrics      *metrics.Metrics
}

// Embedded reports whether some of the parts run in this process.
func (p *Parts) Embedded() bool { return p.Dir != nil }

// Open opens the parts that cfg names. For the others it uses those of a running standalone
// process, or runs embedded ones in this process. Without roles it opens them for a command. Only
// with create may the data directory be a new one. It adds everything that it opens to g, which
// closes it.
func Open(ctx context.Context, cfg config.Config, roles []config.Role, create bool, g *Group, log *zap.Logger) (*Parts, error) {
	p := &Parts{Config: cfg}
	p.openTracing(ctx, g, roles, log)
	p.metrics = metrics.New(Version(), time.Now, log) // the parts report to it
	noCatalog, noQueue, noObjects := cfg.Embedded()
	if noCatalog || noQueue || noObjects {
		if err := p.lockOrJoin(ctx, g, dataFile(noCatalog, noObjects), create); err != nil {
			return nil, err
		}
	}
	switch {
	case p.Standalone != nil:
		p.Standalone.Fill(&p.Config.Parts)
	case p.Dir != nil:
		if err := p.startEmbedded(g, noCatalog, noQueue); err != nil {
			return nil, err
		}
	}
	if err := p.connect(ctx, g, log); err != nil {
		return nil, err
	}
	if !p.Embedded() {
		_ = p.loadCapabilities(ctx) // when the catalog does not answer, the next statement reports it
		return p, nil
	}
	done, err := p.Prepare(ctx, false, false)
	if done.AdoptedFrom != "" {
		log.Warn("the archives here are another catalog's, which is lost; they stay, and nothing serves or deletes them", zap.String("installation", done.AdoptedFrom))
	}
	return p, err
}

// lockOrJoin locks the data directory, or finds the process that has done so. Unless create, the
// directory must have the file.
func (p *Parts) lockOrJoin(ctx context.Context, g *Group, file string, create bool) error {
	if !create { // a first start has only the lock yet: lockOrFind waits for it
		if err := requireData(p.Config.Data, file, lockName); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	dir, runtime, err := lockOrFind(ctx, p.Config.Data)
	if err != nil {
		return err
	}
	p.Dir, p.Standalone = dir, runtime
	if dir == nil {
		return nil
	}
	g.Add(Component{Name: "data directory", Stage: StageTelemetry, Close: dir.Close})
	if create {
		return nil
	}
	return requireData(p.Config.Data, file)
}

// startEmbedded starts the catalog and the queue that cfg does not name and writes their addresses
// into p.Config.
func (p *Parts) startEmbedded(g *Group, noCatalog, noQueue bool) error {
	if noCatalog {
		p.Config.DatabaseURL = catalogURL(p.Dir.Path())
	}
	if !noQueue {
		return nil
	}
	address, err := startRedis(g)
	if err == nil {
		p.Config.RedisURL = address
	}
	return err
}

// catalogURL is the address of the catalog in a data directory.
func catalogURL(dir string) config.Secret {
	return config.Secret("sqlite://" + (&url.URL{Path: filepath.Join(dir, catalogName)}).EscapedPath())
}

// connect opens the clients of all parts.
func (p *Parts) connect(ctx context.Context, g *Group, log *zap.Logger) error {
	c := p.Config
	var err error
	// The catalog takes zero for its default.
	rules := catalog.Rules{ArchivesPrefix: c.Prefix, LockArchives: c.LocksArchives(), ErasureKey: auth.ErasureKey(c.MasterKey.Reveal()),
		Lease: c.Lease, LateDelay: max(c.LateDelay, time.Microsecond)}
	p.Catalog, err = catalog.Open(ctx, c.DatabaseURL.Reveal(), rules)
	if err != nil {
		return err
	}
	p.Catalog.DB().Observe(p.metrics.Catalog)
	g.Add(Component{Name: "catalog", Stage: StageCatalog, Close: p.Catalog.Close})
	if err := p.takeOver(ctx, log); err != nil {
		return err
	}
	if err := p.openObjects(g, p.Embedded()); err != nil {
		return err
	}
	redis.SetLogger(redisLog{log.Named("redis")})
	if p.Queue, err = queue.Connect(c.RedisURL.Reveal()); err != nil {
		return err
	}
	g.Add(Component{Name: "queue client", Stage: StageClients, Close: p.Queue.Close})
	return nil
}

// Prepared is what Prepare did in all calls of this process. Opening embedded parts is one of them.
type Prepared struct {
	Migrations int `json:"migrations"` // schema steps taken
	Keys       int `json:"keys"`       // signing keys made
	// AdoptedFrom is the installation that owned the prefix in the archives bucket before; "" for
	// none.
	AdoptedFrom string `json:"adoptedFrom,omitempty"`
	StoreCapabilities
}

// Prepare migrates the schema, makes missing buckets and signing keys, and marks the archives
// bucket. With adopt it takes over a bucket whose installation has lost its catalog. Without again
// it tries what the object store can do only if the catalog has no result of an earlier try. It can
// be repeated, and several processes may run it at once.
func (p *Parts) Prepare(ctx context.Context, adopt, again bool) (Prepared, error) {
	steps, err := p.Catalog.DB().Migrate(ctx)
	p.prepared.Migrations += steps
	if err != nil {
		return p.prepared, err
	}
	keys, err := auth.EnsureKeys(ctx, p.Catalog, p.Config.MasterKey.Reveal())
	p.prepared.Keys += keys
	if err != nil {
		return p.prepared, err
	}
	if err := p.sealWebhooks(ctx); err != nil {
		return p.prepared, err
	}
	if p.s3 != nil {
		if err := p.s3.EnsureBuckets(ctx); err != nil {
			return p.prepared, withAdvice(err)
		}
		if err := p.checkLock(ctx); err != nil {
			return p.prepared, withAdvice(err)
		}
	}
	keys, err = p.ensureLogKeys(ctx) // the bucket may have the log
	p.prepared.Keys += keys
	if err != nil {
		return p.prepared, err
	}
	if err := p.ensureTried(ctx, again); err != nil { // markBucket depends on the result
		return p.prepared, err
	}
	return p.prepared, withAdvice(p.markBucket(ctx, adopt))
}
