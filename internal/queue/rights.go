package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// cancelChannel is asynq's. Each worker subscribes to it when it starts, and tries until it may.
const cancelChannel = "asynq:cancel"

// neededCommands are what callvault and asynq send to Redis, also from scripts. Each has the
// arguments that it needs; KEY stands for a key.
func neededCommands() []string {
	return []string{
		"DEL KEY", "EVAL 0 0", "EVALSHA 0 0", "EXISTS KEY", "EXPIRE KEY 1", "EXPIREAT KEY 1", "GET KEY", "HDEL KEY f", "HGET KEY f", "HGETALL KEY", "HMGET KEY f",
		"HSET KEY f v", "HVALS KEY", "INCR KEY", "INFO", "LLEN KEY", "LPUSH KEY v", "LRANGE KEY 0 1", "LREM KEY 0 v", "MEMORY USAGE KEY",
		"PEXPIRE KEY 1", "PUBLISH " + cancelChannel + " v", "RPOPLPUSH KEY KEY", "RPUSH KEY v", "SADD KEY v", "SET KEY v", "SETEX KEY 1 v", "SETNX KEY v",
		"SISMEMBER KEY v", "SMEMBERS KEY", "SREM KEY v", "SUBSCRIBE " + cancelChannel, "TIME", "TTL KEY", "ZADD KEY 1 v", "ZCARD KEY", "ZCOUNT KEY 0 1",
		"ZRANGE KEY 0 1", "ZRANGEBYSCORE KEY 0 1", "ZREM KEY v", "ZREMRANGEBYRANK KEY 0 1", "ZREMRANGEBYSCORE KEY 0 1", "ZREVRANGE KEY 0 1", "ZSCORE KEY v",
	}
}

// deniedScript asks Redis which of the commands this user may not send. Redis 7.0 and newer can say
// that without running them; an older one gives nil.
const deniedScript = `if not redis.acl_check_cmd then return false end
local denied = {}
for _, text in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(text, '%S+') do words[#words + 1] = word end
  if not redis.acl_check_cmd(unpack(words)) then denied[#denied + 1] = text end
end
return denied`

// Denied is what callvault does in Redis and the user of this connection may not do.
type Denied struct {
	Asked    bool     // Redis could be asked; else only some commands were tried
	Commands []string // that the user may not send, or not for keys and channels of asynq
	Keys     bool     // the user may not use the keys of callvault
}

// Denied asks Redis, and changes nothing there. If nothing is denied, it also tries two commands,
// whose errors it keeps: NOPERM, OOM, READONLY. It sets a key that does not exist only if it
// exists, and it subscribes to asynq's channel. Error: KindUnavailable.
func (q *Queue) Denied(ctx context.Context) (d Denied, err error) {
	var args []any
	for _, c := range neededCommands() {
		args = append(args, strings.ReplaceAll(c, "KEY", "asynq:{"+Build+"}:probe"))
	}
	own := "SET " + epochKey + " v"
	denied, err := q.redis.Eval(ctx, deniedScript, nil, append(args, own)...).StringSlice()
	if err != nil && !errors.Is(err, redis.Nil) {
		return d, unavailable(err)
	}
	d.Asked = err == nil
	for _, c := range denied {
		if c == own {
			d.Keys = true
			continue
		}
		name, _, _ := strings.Cut(c, " ")
		d.Commands = append(d.Commands, name)
	}
	if len(d.Commands) > 0 || d.Keys {
		return d, nil
	}
	if err := q.redis.SetArgs(ctx, probeKey(), "1", redis.SetArgs{Mode: "XX", TTL: time.Minute}).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return d, unavailable(err)
	}
	channel := q.redis.Subscribe(ctx, cancelChannel)
	_, err = channel.ReceiveTimeout(ctx, dialTimeout)
	return d, unavailable(errors.Join(err, channel.Close()))
}

// Probe writes a key of its own and removes it. Error: KindUnavailable.
func (q *Queue) Probe(ctx context.Context) error {
	key := probeKey()
	if err := q.redis.Set(ctx, key, "1", time.Minute).Err(); err != nil {
		return unavailable(err)
	}
	return unavailable(q.redis.Del(ctx, key).Err())
}

func probeKey() string { return "callvault:probe:" + rand.Text() }
