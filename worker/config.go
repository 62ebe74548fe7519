package worker

import (
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/domain"
)

// Defaults of Config.
const (
	DefaultSlots  = 4
	DefaultMemory = 64 << 20
	DefaultStall  = 2 * time.Minute
	// DefaultBuffers is one less than the archiver's own: two large builds
	// then fit in DefaultMemory, which is worth more than the fourth buffer.
	DefaultBuffers = 3
)

// Config sizes a Worker. Zero fields take the defaults.
type Config struct {
	Name   string // who holds a claim, in the catalog and the console
	Slots  int    // builds at once (4)
	Memory int64  // bytes that all builds hold in buffers at most (64 MiB)
	// Stall ends a build in which no byte moves for so long (2 min).
	Stall time.Duration
	// Archive bounds one build; its Idle is Stall.
	Archive archiver.Config
	// Poll is how often an idle worker looks for tasks.
	Poll time.Duration
	// Retry is the first wait before an answer that got lost is asked for
	// again, doubled each time (1 s).
	Retry time.Duration
	// GiveUp is how long a finished build tries to be published while the
	// store or the catalog is away (10 min).
	GiveUp time.Duration
	// Drain is how long builds may take to end when the process stops (25 s).
	Drain time.Duration
	Sweep SweepConfig
	// OnBuild, when set, is told how each build ended, for metrics.
	OnBuild func(Ended)
	// Tracer makes the spans of builds; none when nil.
	Tracer trace.TracerProvider
}

func (c Config) withDefaults() Config {
	c.Slots = orDefault(c.Slots, DefaultSlots)
	c.Memory = orDefault(c.Memory, DefaultMemory)
	c.Stall = orDefault(c.Stall, DefaultStall)
	c.Retry = orDefault(c.Retry, time.Second)
	c.GiveUp = orDefault(c.GiveUp, 10*time.Minute)
	c.Drain = orDefault(c.Drain, 25*time.Second)
	c.Archive.Idle = c.Stall
	c.Archive.Buffers = orDefault(c.Archive.Buffers, DefaultBuffers)
	c.Archive.Gets = orDefault(c.Archive.Gets, archiver.DefaultGets)
	if c.OnBuild == nil {
		c.OnBuild = func(Ended) {}
	}
	return c
}

// What is left of a build when the process stops shares Drain: the archive is published, else its upload is
// aborted, and the catalog is told. The rest is for what the queue has to write down.
func (c Config) publishing() time.Duration { return c.Drain * 2 / 5 }
func (c Config) telling() time.Duration    { return c.Drain / 6 }

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// overhead is what a worker needs beside its buffers: code, connections, and
// the recordings of an hour of 70,000 files before they are admitted.
const overhead = 24 << 20

// MemoryLimit is what to set as the Go runtime's soft memory limit (bytes) in
// a process that only works: without it the collector lets buffers that are no
// longer used pile up to as much again.
func (c Config) MemoryLimit() int64 { return c.withDefaults().Memory + overhead }

// Ended says how a build ended.
type Ended struct {
	Key     domain.HourKey
	Kind    domain.Kind // "" when the archive is served; else why not
	Took    time.Duration
	Size    int64 // bytes of the ZIP
	Files   int
	Missing int
}
