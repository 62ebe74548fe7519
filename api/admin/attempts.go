package admin

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxAttempts   = 10 // from one address in attemptWindow
	attemptWindow = 10 * time.Minute
	maxAddresses  = 10_000 // in memory
)

// attemptLimiter limits wrong tokens from one address. It counts in memory, not in Redis, because
// the console is needed most while Redis is away.
type attemptLimiter struct {
	now func() time.Time

	mu   sync.Mutex
	from map[string][]time.Time // times of failed attempts, oldest first
}

func newAttemptLimiter(now func() time.Time) *attemptLimiter {
	return &attemptLimiter{now: now, from: map[string][]time.Time{}}
}

// begin counts an attempt as failed. A positive wait means that it is refused and was not counted.
func (g *attemptLimiter) begin(remote string) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name, at := network(remote), g.now()
	tries := g.from[name]
	for len(tries) > 0 && at.Sub(tries[0]) >= attemptWindow {
		tries = tries[1:]
	}
	if len(tries) >= maxAttempts {
		g.from[name] = tries
		return attemptWindow - at.Sub(tries[0])
	}
	if _, known := g.from[name]; !known && len(g.from) >= maxAddresses {
		g.forget(at)
	}
	g.from[name] = append(tries, at)
	return 0
}

// succeeded takes the last attempt back.
func (g *attemptLimiter) succeeded(remote string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := network(remote)
	if tries := g.from[name]; len(tries) > 1 {
		g.from[name] = tries[:len(tries)-1]
		return
	}
	delete(g.from, name)
}

// forget removes the addresses without attempts in the window, or any one if there is none.
func (g *attemptLimiter) forget(at time.Time) {
	var last string
	for name, tries := range g.from {
		last = name
		if len(tries) == 0 || at.Sub(tries[len(tries)-1]) >= attemptWindow {
			delete(g.from, name)
		}
	}
	if len(g.from) >= maxAddresses {
		delete(g.from, last)
	}
}

// network gives what counts as one address. Of IPv6 it is the /64, all of which a client can use.
func network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil || addr.Unmap().Is4() {
		return remote
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return remote
	}
	return p.String()
}
