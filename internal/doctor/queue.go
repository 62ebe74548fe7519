package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/internal/queue"
)

const (
	fullAdvice   = "raise maxmemory, or find what else fills this Redis: a full one takes no task and hands none out"
	rightsAdvice = "let the user of CALLVAULT_REDIS_URL use all commands, and the keys and channels of callvault and asynq: ACL SETUSER … ~callvault:* ~asynq:* &asynq:* +@all"
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
		if text := err.Error(); strings.Contains(text, "WRONGPASS") || strings.Contains(text, "NOAUTH") {
			advice = "correct the user and password in CALLVAULT_REDIS_URL"
		} else if strings.Contains(text, "NOPERM") {
			advice = rightsAdvice
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
		return queueFails(err)
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
		return queueFails(err)
	}
	saw := fmt.Sprintf("%s in use, no limit, policy %s", humanize.IBytes(uint64(m.Used)), m.Policy)
	if m.Max > 0 {
		saw = fmt.Sprintf("%s of %s in use, policy %s", humanize.IBytes(uint64(m.Used)), humanize.IBytes(uint64(m.Max)), m.Policy)
	}
	switch {
	case m.Check() != nil:
		return fail(saw, "set maxmemory-policy noeviction: any other tears tasks apart when memory runs out")
	case m.Alarm():
		return warn(saw, fullAdvice)
	}
	return pass("%s", saw)
}

// queueRights asks Redis which commands this user may send, and subscribes as a worker does. With
// --try it also writes a key.
func (d *Doctor) queueRights(ctx context.Context) Result {
	if d.s.EmbeddedQueue {
		return pass("the embedded queue has one user, who may do all")
	}
	denied, err := d.queue.Denied(ctx)
	if err != nil {
		return queueFails(err)
	}
	switch {
	case len(denied.Commands) > 0:
		return fail("this user may not send, or not to asynq's keys and channels: "+strings.Join(denied.Commands, ", "), rightsAdvice)
	case denied.Keys:
		return fail("this user may not use the keys that begin with callvault:", rightsAdvice)
	}
	if d.s.Try {
		if err := d.queue.Probe(ctx); err != nil {
			return queueFails(err)
		}
		return pass("callvault's commands and channel are allowed; a key was written and removed")
	}
	if !denied.Asked {
		return pass("a script, SET and SUBSCRIBE are allowed; Redis before 7.0 does not say whether the other commands are")
	}
	return pass("callvault's commands and channel are allowed")
}

// queueFails says what to do about an error of Redis.
func queueFails(err error) Result {
	switch text := err.Error(); {
	case strings.Contains(text, "OOM"):
		return failErr(err, fullAdvice)
	case strings.Contains(text, "NOPERM") && strings.Contains(text, "channel"):
		return failErr(err, "let the user of CALLVAULT_REDIS_URL subscribe to the channels of asynq, or its workers try for ever: ACL SETUSER … &asynq:*")
	case strings.Contains(text, "NOPERM"):
		return failErr(err, rightsAdvice)
	case strings.Contains(text, "READONLY"):
		return failErr(err, "point CALLVAULT_REDIS_URL at the primary, not at a replica")
	}
	return failErr(err, "look into Redis's log")
}

// workers looks who takes tasks, and whether somebody has paused a queue.
func (d *Doctor) workers(ctx context.Context) Result {
	live, err := d.queue.Workers(ctx)
	if err != nil {
		return queueFails(err)
	}
	queues, err := d.queue.Sizes(ctx)
	if err != nil {
		return queueFails(err)
	}
	var paused []string
	pending := 0
	for _, q := range queues {
		if q.Paused {
			paused = append(paused, q.Name)
		}
		if q.Name == queue.Build {
			pending = q.Sizes["pending"]
		}
	}
	saw := fmt.Sprintf("workers: %d; hours waiting for one: %d", live, pending)
	switch {
	case len(paused) > 0:
		return warn(saw+"; paused queues, from which no worker takes anything: "+strings.Join(paused, ", "), "resume them on the console's page Queues")
	case live == 0:
		return warn("no worker is seen; hours waiting for one: "+strconv.Itoa(pending), "start callvault worker; without one nothing is built")
	}
	return pass("%s", saw)
}
