package queue

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
)

// Instance describes the Redis that holds the queues.
type Instance struct {
	Product string // Redis or Valkey
	Version string // Redis's, or the one that Valkey is compatible with
	Replica bool   // takes no writes
	Durable bool   // keeps an append-only file
}

// Inspect asks Redis about itself. Error: KindUnavailable.
func (q *Queue) Inspect(ctx context.Context) (Instance, error) {
	i := Instance{Product: "Redis"}
	for _, section := range []string{"server", "replication", "persistence"} { // only 7.0 and newer take several at once
		text, err := q.redis.Info(ctx, section).Result()
		if err != nil {
			return i, unavailable(err)
		}
		for line := range strings.Lines(text) {
			switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
			case "redis_version":
				i.Version = value
			case "server_name":
				if value == "valkey" {
					i.Product = "Valkey"
				}
			case "role":
				i.Replica = value == "slave"
			case "aof_enabled":
				i.Durable = value == "1"
			}
		}
	}
	return i, nil
}

// Probe writes a key of its own and removes it. Error: KindUnavailable.
func (q *Queue) Probe(ctx context.Context) error {
	key := "callvault:probe:" + rand.Text()
	if err := q.redis.Set(ctx, key, "1", time.Minute).Err(); err != nil {
		return unavailable(err)
	}
	return unavailable(q.redis.Del(ctx, key).Err())
}
