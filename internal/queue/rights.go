package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// cancelChannel is asynq's. Each worker subscribes to it at its start, and tries for ever.
const cancelChannel = "asynq:cancel"

// neededCommands are what callvault and asynq send to Redis, from scripts too, each with a key and as
// many arguments as it takes. In each, KEY stands for a key.
func neededCommands() []string {
	return []string{
		"DEL KEY", "EVAL 0 0", "EVALSHA 0 0", "EXISTS KEY", "EXPIRE KEY 1", "EXPIREAT KEY 1", "GET KEY", "HDEL KEY f", "HGET KEY f", "HGETALL KEY", "HMGET KEY f",
		"HSET KEY f v", "HVALS KEY", "INCR KEY", "INFO", "LLEN KEY", "LPUSH KEY v", "LRANGE KEY 0 1", "LREM KEY 0 v", "MEMORY USAGE KEY",
		"PEXPIRE KEY 1", "PUBLISH " + cancelChannel + " v", "RPOPLPUSH KEY KEY", "RPUSH KEY v", "SADD KEY v", "SET KEY v", "SETEX KEY 1 v", "SETNX KEY v",
		"SISMEMBER KEY v", "SMEMBERS KEY", "SREM KEY v", "SUBSCRIBE " + cancelChannel, "TIME", "TTL KEY", "ZADD KEY 1 v", "ZCARD KEY", "ZCOUNT KEY 0 1",
		"ZRANGE KEY 0 1", "ZRANGEBYSCORE KEY 0 1", "ZREM KEY v", "ZREMRANGEBYRANK KEY 0 1", "ZREMRANGEBYSCORE KEY 0 1", "ZREVRANGE KEY 0 1", "ZSCORE KEY v",
	}
}

// refusedText asks Redis which of the commands this user may not send. Redis 7.0 and newer can say
// that without running them; an older one gives nil.
const refusedText = `if not redis.acl_check_cmd then return false end
local refused = {}
for _, text in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(text, '%S+') do words[#words + 1] = word end
  if not redis.acl_check_cmd(unpack(words)) then refused[#refused + 1] = text end
end
return refused`

// Rights is what the user of this connection may not do, though callvault does it.
type Rights struct {
	Asked    bool     // Redis could be asked; else only some commands were tried
	Commands []string // refused for keys of asynq
	Keys     bool     // those of callvault are refused
}

// Rights asks Redis, and changes nothing there. It subscribes to asynq's channel, and sets a key that
// does not exist only if it exists. Redis's own errors are kept: NOPERM, OOM, READONLY.
// Error: KindUnavailable.
func (q *Queue) Rights(ctx context.Context) (r Rights, err error) {
	var list []string
	for _, c := range neededCommands() {
		list = append(list, strings.ReplaceAll(c, "KEY", "asynq:{"+Build+"}:probe"))
	}
	list = append(list, "SET "+epochKey+" v")
	args := make([]any, len(list))
	for i, c := range list {
		args[i] = c
	}
	refused, err := q.redis.Eval(ctx, refusedText, nil, args...).StringSlice()
	if err != nil && !errors.Is(err, redis.Nil) {
		return r, unavailable(err)
	}
	r.Asked = err == nil
	for _, c := range refused {
		name, _, _ := strings.Cut(c, " ")
		if c == list[len(list)-1] {
			r.Keys = name == "SET"
			continue
		}
		r.Commands = append(r.Commands, name)
	}
	if len(r.Commands) > 0 || r.Keys {
		return r, nil
	}
	if err := q.redis.SetArgs(ctx, probeKey(), "1", redis.SetArgs{Mode: "XX", TTL: time.Minute}).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return r, unavailable(err)
	}
	channel := q.redis.Subscribe(ctx, cancelChannel)
	_, err = channel.ReceiveTimeout(ctx, dialTimeout)
	return r, unavailable(errors.Join(err, channel.Close()))
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
