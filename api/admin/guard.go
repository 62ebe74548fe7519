package admin

import (
	"net/netip"
	"sync"
	"time"
)

const (
	guardLimit  = 10 // wrong tokens from one address
	guardWindow = 10 * time.Minute
	guardSize   = 10_000 // addresses remembered
)

// guard bounds how often one address may be wrong about the token. It counts in memory, not in
// Redis: the console is needed most while Redis is away.
type guard struct {
	now func() time.Time

	mu   sync.Mutex
	from map[string][]time.Time // attempts that were not forgiven, oldest first
}

func newGuard(now func() time.Time) *guard { return &guard{now: now, from: map[string][]time.Time{}} }

// begin counts an attempt. A positive wait means that it is refused, and was not counted.
func (g *guard) begin(remote string) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name, at := network(remote), g.now()
	tries := g.from[name]
	for len(tries) > 0 && at.Sub(tries[0]) >= guardWindow {
		tries = tries[1:]
	}
	if len(tries) >= guardLimit {
		g.from[name] = tries
		return guardWindow - at.Sub(tries[0])
	}
	if _, known := g.from[name]; !known && len(g.from) >= guardSize {
		g.forgetOld(at)
	}
	g.from[name] = append(tries, at)
	return 0
}

// forgive takes back the latest attempt, which was right.
func (g *guard) forgive(remote string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := network(remote)
	if tries := g.from[name]; len(tries) > 1 {
		g.from[name] = tries[:len(tries)-1]
		return
	}
	delete(g.from, name)
}

// forgetOld makes room: addresses whose attempts are over, else any one.
func (g *guard) forgetOld(at time.Time) {
	var last string
	for name, tries := range g.from {
		last = name
		if len(tries) == 0 || at.Sub(tries[len(tries)-1]) >= guardWindow {
			delete(g.from, name)
		}
	}
	if len(g.from) >= guardSize {
		delete(g.from, last)
	}
}

// network is what counts as one address: in IPv6 the /64 that one client can choose from.
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
