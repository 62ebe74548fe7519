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
func (l *attemptLimiter) begin(remote string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, at := network(remote), l.now()
	tries := l.from[name]
	for len(tries) > 0 && at.Sub(tries[0]) >= attemptWindow {
		tries = tries[1:]
	}
	if len(tries) >= maxAttempts {
		l.from[name] = tries
		return attemptWindow - at.Sub(tries[0])
	}
	if _, known := l.from[name]; !known && len(l.from) >= maxAddresses {
		l.forget(at)
	}
	l.from[name] = append(tries, at)
	return 0
}

// succeeded takes the last attempt back.
func (l *attemptLimiter) succeeded(remote string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := network(remote)
	if tries := l.from[name]; len(tries) > 1 {
		l.from[name] = tries[:len(tries)-1]
		return
	}
	delete(l.from, name)
}

// forget removes the addresses without attempts in the window, or any one if there is none.
func (l *attemptLimiter) forget(at time.Time) {
	var last string
	for name, tries := range l.from {
		last = name
		if len(tries) == 0 || at.Sub(tries[len(tries)-1]) >= attemptWindow {
			delete(l.from, name)
		}
	}
	if len(l.from) >= maxAddresses {
		delete(l.from, last)
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
