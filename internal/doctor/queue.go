package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/internal/queue"
)

// The oldest version of Redis that works is 6.2.
const minMajor, minMinor = 6, 2

func (d *Doctor) reachQueue(ctx context.Context) Result {
	if f, none := d.skipPart(d.s.EmbeddedQueue, "CALLVAULT_REDIS_URL"); none {
		return f
	}
	if d.s.EmbeddedQueue && d.s.Running == "" {
		return skip("callvault standalone does not run, and the embedded queue lives in it")
	}
	q, err := queue.Connect(d.s.Config.RedisURL.Reveal())
	if err != nil {
		return failErr(err, "correct CALLVAULT_REDIS_URL")
	}
	d.queue = q
	d.closeLater(q.Close)
	if err := q.Ping(ctx); err != nil {
		advice := "start Redis, or correct host and port in CALLVAULT_REDIS_URL; look whether a firewall is between"
		if text := err.Error(); strings.Contains(text, "WRONGPASS") || strings.Contains(text, "NOAUTH") || strings.Contains(text, "NOPERM") {
			advice = "correct the user and password in CALLVAULT_REDIS_URL"
		} else if strings.HasPrefix(d.s.Config.RedisURL.Reveal(), "rediss:") {
			advice += "; is it TLS that answers there? rediss:// asks for it, redis:// does not"
		}
		return failErr(err, advice)
	}
	return pass("%s answers", d.s.Config.RedisURL.Place())
}

func (d *Doctor) queueServer(ctx context.Context) Result {
	if d.s.EmbeddedQueue {
		return pass("embedded, in the memory of callvault standalone")
	}
	i, err := d.queue.Inspect(ctx)
	if err != nil {
		return failErr(err, "let the user of CALLVAULT_REDIS_URL use INFO")
	}
	saw := i.Product + " " + i.Version
	major, minor := version(i.Version)
	switch {
	case major < minMajor || major == minMajor && minor < minMinor:
		return fail(saw, fmt.Sprintf("upgrade to Redis %d.%d or newer, or Valkey", minMajor, minMinor))
	case i.Replica:
		return fail(saw+", a replica", "point CALLVAULT_REDIS_URL at the primary, or at the sentinels with redis-sentinel://")
	case !i.Durable:
		f := pass("%s, without an append-only file", saw)
		f.Advice = "appendonly yes saves handing every waiting hour out again after a restart; nothing is lost without it"
		return f
	}
	return pass("%s, with an append-only file", saw)
}

func version(text string) (major, minor int) {
	parts := strings.Split(text+".0", ".")
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}

func (d *Doctor) queueMemory(ctx context.Context) Result {
	if d.s.EmbeddedQueue {
		return skip("the embedded queue has no limit of its own")
	}
	m, err := d.queue.Memory(ctx)
	if err != nil {
		return failErr(err, "let the user of CALLVAULT_REDIS_URL use INFO")
	}
	saw := fmt.Sprintf("%s in use, no limit, policy %s", humanize.IBytes(uint64(m.Used)), m.Policy)
	if m.Max > 0 {
		saw = fmt.Sprintf("%s of %s in use, policy %s", humanize.IBytes(uint64(m.Used)), humanize.IBytes(uint64(m.Max)), m.Policy)
	}
	switch {
	case m.Check() != nil:
		return fail(saw, "set maxmemory-policy noeviction: any other tears tasks apart when memory runs out")
	case m.Alarm():
		return warn(saw, "raise maxmemory, or find what else fills this Redis: a full one takes no task and hands none out")
	}
	return pass("%s", saw)
}

func (d *Doctor) queueRights(ctx context.Context) Result {
	err := d.queue.Probe(ctx)
	if err == nil {
		return pass("a key was written and removed")
	}
	switch text := err.Error(); {
	case strings.Contains(text, "OOM"):
		return failErr(err, "Redis is full: raise maxmemory, or find what else fills it")
	case strings.Contains(text, "NOPERM"):
		return failErr(err, "let the user of CALLVAULT_REDIS_URL use all keys and commands: ACL SETUSER … ~* +@all")
	case strings.Contains(text, "READONLY"):
		return failErr(err, "point CALLVAULT_REDIS_URL at the primary, not at a replica")
	}
	return failErr(err, "look into Redis's log")
}

func (d *Doctor) workers(ctx context.Context) Result {
	s, err := d.queue.Stats(ctx)
	if err != nil {
		return failErr(err, "look into Redis's log")
	}
	if s.Slots == 0 {
		return warn("no worker is seen", "start callvault worker; without one nothing is built")
	}
	pending := 0
	for _, q := range s.Queues {
		if q.Name == queue.Build {
			pending = q.Sizes["pending"]
		}
	}
	return pass("builds at once: %d; hours waiting for one: %d", s.Slots, pending)
}
