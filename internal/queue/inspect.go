package queue

import (
	"context"
	"strings"
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
	info := map[string]string{}
	for _, section := range []string{"server", "replication", "persistence"} { // only 7.0 and newer take several at once
		if err := q.readInfo(ctx, section, info); err != nil {
			return Instance{}, err
		}
	}
	i := Instance{Product: "Redis", Version: info["redis_version"], Replica: info["role"] == "slave", Durable: info["aof_enabled"] == "1"}
	if info["server_name"] == "valkey" {
		i.Product = "Valkey"
	}
	return i, nil
}

// readInfo adds a section of INFO to info. Managed services allow it, but forbid CONFIG GET.
func (q *Queue) readInfo(ctx context.Context, section string, info map[string]string) error {
	text, err := q.redis.Info(ctx, section).Result()
	parseInfo(text, info)
	return unavailable(err)
}

func parseInfo(text string, info map[string]string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
}
