package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/domain"
)

const (
	// serverTries lets a worker outlast a short outage of Redis. With fewer tries asynq would give
	// up writing down that a task ended, and the task would run again.
	serverTries = 15
	// clientTries is small, because other callers want to hear soon that Redis is unavailable.
	clientTries = 3
	minBackoff  = 100 * time.Millisecond
	maxBackoff  = 2 * time.Second
	clientPool  = 20
	dialTimeout = 5 * time.Second
)

// target is the address of Redis: one server, or the sentinels that know it. One of the two is nil.
type target struct {
	single   *redis.Options
	sentinel *redis.FailoverOptions
}

// parseURL reads redis://, rediss:// and redis-sentinel:// URLs. Its error is KindInvalid and
// never repeats the URL, which can hold a password.
//
// redis-sentinel://user:password@host:26379,host:26379/db?master=name names the sentinels; user
// and password are Redis's own. The sentinels' stand in the query as sentinel_username and
// sentinel_password; tls=true encrypts both.
func parseURL(raw string) (target, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	switch scheme {
	case "redis", "rediss":
		opts, err := redis.ParseURL(raw)
		if err != nil {
			return target{}, domain.Errorf(domain.KindInvalid, "the Redis URL cannot be read; use %s://user:password@host:port/database", scheme)
		}
		return target{single: opts}, nil
	case "redis-sentinel":
		return parseSentinel(rest)
	}
	return target{}, domain.Errorf(domain.KindInvalid, "the Redis URL must start with redis://, rediss:// or redis-sentinel://")
}

func parseSentinel(rest string) (target, error) {
	bad := domain.Errorf(domain.KindInvalid,
		"the Redis URL cannot be read; use redis-sentinel://user:password@host:port,host:port/database?master=name")
	// net/url refuses several hosts with ports, so they are cut out before it parses the rest.
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		return target{}, bad
	}
	authority := rest[:end]
	hosts := authority[strings.LastIndexByte(authority, '@')+1:]
	u, err := url.Parse("redis-sentinel://" + strings.TrimSuffix(authority, hosts) + "sentinels" + rest[end:])
	if err != nil || hosts == "" {
		return target{}, bad
	}
	query := u.Query()
	opts := &redis.FailoverOptions{
		MasterName:       query.Get("master"),
		SentinelUsername: query.Get("sentinel_username"),
		SentinelPassword: query.Get("sentinel_password"),
		Username:         u.User.Username(),
	}
	opts.Password, _ = u.User.Password()
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" {
			return target{}, bad
		}
		if !strings.Contains(host, ":") {
			host += ":26379"
		}
		opts.SentinelAddrs = append(opts.SentinelAddrs, host)
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if opts.DB, err = strconv.Atoi(db); err != nil || opts.DB < 0 {
			return target{}, bad
		}
	}
	if query.Get("tls") == "true" {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if opts.MasterName == "" {
		return target{}, bad
	}
	return target{sentinel: opts}, nil
}

// client makes a client that retries each command up to tries times and keeps at most pool
// connections. It does not connect yet.
func (t target) client(tries, pool int) redis.UniversalClient {
	if t.sentinel != nil {
		opts := *t.sentinel
		opts.MaxRetries, opts.MinRetryBackoff, opts.MaxRetryBackoff = tries, minBackoff, maxBackoff
		opts.PoolSize, opts.DialTimeout, opts.DialerRetries, opts.ContextTimeoutEnabled = pool, dialTimeout, 1, true
		return redis.NewFailoverClient(&opts)
	}
	opts := *t.single
	opts.MaxRetries, opts.MinRetryBackoff, opts.MaxRetryBackoff = tries, minBackoff, maxBackoff
	opts.PoolSize, opts.DialTimeout, opts.DialerRetries, opts.ContextTimeoutEnabled = pool, dialTimeout, 1, true
	return redis.NewClient(&opts)
}

// Ping says whether Redis answers. Its error is KindUnavailable.
func (q *Queue) Ping(ctx context.Context) error {
	return unavailable(q.redis.Ping(ctx).Err())
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	var refused redis.Error
	if errors.As(err, &refused) {
		return domain.Wrap(domain.KindUnavailable, err, "Redis refuses")
	}
	return domain.Wrap(domain.KindUnavailable, err, "Redis does not answer")
}
