package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// startRedis starts a Redis in this process, adds it to g and returns its URL. Its content is lost
// when it ends: the planner fills the queue again at the next start.
func startRedis(g *Group) (config.Secret, error) {
	server, password := miniredis.NewMiniRedis(), rand.Text()
	server.RequireAuth(password)
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return "", domain.Wrap(domain.KindUnavailable, err, "the embedded queue found no free port on loopback")
	}
	// miniredis lets keys expire only when told that time passed.
	moveClock := func(ctx context.Context) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				server.FastForward(time.Second)
			}
		}
	}
	g.Add(Component{Name: "embedded queue", Stage: StageCatalog, Run: moveClock, Close: func() error {
		server.Close()
		return nil
	}})
	return config.Secret("redis://:" + password + "@" + server.Addr() + "/0"), nil
}

// redisLog logs what the Redis client writes by itself, for debugging only: callers report every
// failure.
type redisLog struct{ log *zap.Logger }

// Printf implements the client's logger.
func (l redisLog) Printf(_ context.Context, format string, args ...any) {
	l.log.Debug("redis client", zap.String("says", fmt.Sprintf(format, args...)))
}
