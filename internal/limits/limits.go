package limits

import (
	"cmp"
	"context"
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/domain"
)

// Config allows Limit uses in every Window, both ends included.
type Config struct {
	Limit   int
	Window  time.Duration
	Timeout time.Duration // how long Redis may take to answer; 2 s when zero
}

// Use is the state of a name's window.
type Use struct {
	Allowed   bool
	Limit     int
	Remaining int
	Reset     time.Duration // until the oldest counted use leaves the window; 0 when there is none
}

// Limiter counts uses by name. It is safe for concurrent use. All Limiters of one Redis count
// together.
type Limiter struct {
	cfg   Config
	redis redis.Scripter
}

// take.lua keeps the times of the allowed uses by Redis's clock, the oldest first (a sliding log).
// A refused use changes nothing. A use that lies more than a window in the future was counted
// before the clock stepped back. It is dropped, because it would block the name for as long as the
// step.
//
//go:embed take.lua
var takeText string

// New makes a Limiter on a Redis, which may be a cluster or behind a Sentinel.
func New(cfg Config, client redis.Scripter) *Limiter {
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Second)
	return &Limiter{cfg, client}
}

// Take counts one use of name if the limit allows it. Error: KindUnavailable when Redis does not
// answer. Then it is unknown whether the use was counted, and Use says that none remains for a
// whole window.
func (l *Limiter) Take(ctx context.Context, name string) (Use, error) { return l.ask(ctx, name, true) }

// Peek returns the state of a name's window and counts nothing. Allowed says whether a use would be
// allowed. Error: KindUnavailable.
func (l *Limiter) Peek(ctx context.Context, name string) (Use, error) {
	return l.ask(ctx, name, false)
}

func (l *Limiter) ask(ctx context.Context, name string, take bool) (Use, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	counts := 0
	if take {
		counts = 1
	}
	// A client can be configured to ignore the context's deadline, so the wait ends here.
	type answer struct {
		numbers []int64
		err     error
	}
	done := make(chan answer, 1)
	go func() { // ends with the client's own timeout
		numbers, err := redis.NewScript(takeText).Run(ctx, l.redis, []string{"callvault:rate:" + name},
			l.cfg.Limit, l.cfg.Window.Microseconds(), counts).Int64Slice()
		done <- answer{numbers, err}
	}()
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		a.err = ctx.Err()
	}
	if a.err == nil && len(a.numbers) != 3 {
		a.err = domain.Errorf(domain.KindInternal, "the limiter's script answered %d numbers", len(a.numbers))
	}
	if a.err != nil {
		return Use{Limit: l.cfg.Limit, Reset: l.cfg.Window}, domain.Wrap(domain.KindUnavailable, a.err, "the limiter's store does not answer")
	}
	return Use{Allowed: a.numbers[0] == 1, Limit: l.cfg.Limit, Remaining: int(a.numbers[1]),
		Reset: time.Duration(a.numbers[2]) * time.Microsecond}, nil
}
