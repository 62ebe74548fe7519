package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
)

// embeddedRedis is a Redis in this process. It keeps nothing beyond its end: the planner fills the
// queue again at the next start.
type embeddedRedis struct {
	server   *miniredis.Miniredis
	password string
	log      *zap.Logger
}

func startRedis(log *zap.Logger) (*embeddedRedis, error) {
	r := &embeddedRedis{server: miniredis.NewMiniRedis(), password: rand.Text(), log: log}
	r.server.RequireAuth(r.password)
	if err := r.server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "the embedded queue found no free port on loopback")
	}
	return r, nil
}

func (r *embeddedRedis) url() string { return "redis://:" + r.password + "@" + r.server.Addr() + "/0" }

// component moves the server's clock: miniredis lets keys expire only when told that time passed.
func (r *embeddedRedis) component() Component {
	run := func(ctx context.Context) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				r.server.FastForward(time.Second)
			}
		}
	}
	return Component{Name: "embedded queue", Stage: StageCatalog, Run: run, Close: func() error {
		r.server.Close()
		return nil
	}}
}

// redisLog logs what the Redis client writes by itself, for debugging only: callers report every
// failure.
type redisLog struct{ log *zap.Logger }

// Printf implements the client's logger.
func (l redisLog) Printf(_ context.Context, format string, args ...any) {
	l.log.Debug("redis client", zap.String("says", fmt.Sprintf(format, args...)))
}
