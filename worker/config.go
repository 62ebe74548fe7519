package worker

import (
	"cmp"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Config sizes a Worker. Zero fields take the defaults.
type Config struct {
	Name   string // of the worker, shown with its claims
	Slots  int    // builds at once (4)
	Memory int64  // bytes that the buffers of all builds take at most (64 MiB)
	// Stall is how long a build may go without moving a byte before it fails (2 min).
	Stall time.Duration
	// Lock is the mode in which the store locks archives; none with objstore.NoLock.
	Lock objstore.LockMode
	// Archive bounds one build; its Idle is Stall.
	Archive archiver.Config
	// Poll is how often an idle worker looks for tasks.
	Poll time.Duration
	// Retry is the wait before the first retry of a call to the store or the catalog, doubled each
	// time (1 s).
	Retry time.Duration
	// GiveUp is how long publishing a finished archive is retried while the store or the catalog
	// is unavailable (10 min).
	GiveUp time.Duration
	// Drain is how long builds may take to end after the order to stop (25 s).
	Drain time.Duration
	// OnBuild, when set, is told how each build ended, for metrics.
	OnBuild func(Outcome)
	// Tracer makes the spans of builds; none when nil.
	Tracer trace.TracerProvider
}

func (c Config) withDefaults() Config {
	c.Slots = cmp.Or(c.Slots, 4)
	c.Memory = cmp.Or(c.Memory, 64<<20)
	c.Stall = cmp.Or(c.Stall, 2*time.Minute)
	c.Retry = cmp.Or(c.Retry, time.Second)
	c.GiveUp = cmp.Or(c.GiveUp, 10*time.Minute)
	c.Drain = cmp.Or(c.Drain, 25*time.Second)
	c.Archive.Idle = c.Stall
	c.Archive.Buffers = cmp.Or(c.Archive.Buffers, 3) // one less than archiver.DefaultBuffers: two large builds fit in Memory
	c.Archive.Gets = cmp.Or(c.Archive.Gets, archiver.DefaultGets)
	if c.OnBuild == nil {
		c.OnBuild = func(Outcome) {}
	}
	return c
}

// publishTime and reportTime are shares of Drain: after the order to stop a build publishes its
// archive or aborts its upload, and then reports to the catalog. The rest is for the queue, which
// writes the outcome of tasks to Redis.
func (c Config) publishTime() time.Duration { return c.Drain * 2 / 5 }
func (c Config) reportTime() time.Duration  { return c.Drain / 6 }

// Outcome is how a build ended.
type Outcome struct {
	Key     domain.HourKey
	Kind    domain.Kind // of its error; "" when the archive is published
	Took    time.Duration
	Size    int64 // bytes of the ZIP
	Files   int
	Missing int
}
