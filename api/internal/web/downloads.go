package web

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// DownloadLimits bound the downloads that pass through this process at once. Each download holds a
// connection of the object store, and memory, for as long as its client takes.
type DownloadLimits struct {
	Address int // of one object, to one address: downloaders open up to 16 connections
	Object  int
	Tenant  int
	All     int
}

// slowAfter is how long a download may take for paceBytes and keep its place when others want it:
// 64 KiB/s.
const slowAfter = 2 * time.Second

// Download names a download for the limits.
type Download struct {
	Tenant  string
	Object  string // unique within the tenant
	Address string // of the client; all of an IPv6 /64 count as one
}

// DownloadLimiter counts the downloads that pass through this process. When a limit is reached, the
// slowest of the downloads that it counts yields its place to a new one. A nil DownloadLimiter has
// no limits.
type DownloadLimiter struct {
	limits DownloadLimits

	mu     sync.Mutex
	places map[*place]struct{} // that are taken

	buffers sync.Pool // *[]byte of copySize
}

// place is one download's share of the limits. A nil place is never lost.
type place struct {
	Download
	limiter *DownloadLimiter

	// The limiter's mutex guards these.
	since time.Time    // when the client began to take the current paceBytes
	out   *TimedWriter // nil until the answer begins
}

var errLostPlace = errors.New("the download was slow, and another one needed its place")

// NewDownloadLimiter makes a DownloadLimiter. Zero limits take the defaults: 16, 32, 128 and 512.
func NewDownloadLimiter(l DownloadLimits) *DownloadLimiter {
	l.Address = cmp.Or(l.Address, 16)
	l.Object = cmp.Or(l.Object, 32)
	l.Tenant = cmp.Or(l.Tenant, 128)
	l.All = cmp.Or(l.All, 512)
	return &DownloadLimiter{limits: l, places: map[*place]struct{}{}}
}

// acquire gives a download a place. release must be called at its end. Error: KindUnavailable when
// a limit is reached and no download that it counts is slow.
func (l *DownloadLimiter) acquire(d Download) (*place, error) {
	if l == nil {
		return nil, nil
	}
	d.Address = network(d.Address)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, limit := range []struct {
		n      int
		counts func(Download) bool
	}{
		{l.limits.Address, func(o Download) bool { return o == d }},
		{l.limits.Object, func(o Download) bool { return o.Tenant == d.Tenant && o.Object == d.Object }},
		{l.limits.Tenant, func(o Download) bool { return o.Tenant == d.Tenant }},
		{l.limits.All, func(Download) bool { return true }},
	} {
		if !l.makeRoom(limit.n, limit.counts) {
			return nil, domain.Errorf(domain.KindUnavailable, "too many downloads at once")
		}
	}
	p := &place{Download: d, limiter: l, since: time.Now()}
	l.places[p] = struct{}{}
	return p, nil
}

// makeRoom says whether there is room for one more of the downloads that counts is true for, of which
// there may be n. If there is none, the slowest of them loses its place, unless it is fast.
func (l *DownloadLimiter) makeRoom(n int, counts func(Download) bool) bool {
	var slowest *place
	for p := range l.places {
		if !counts(p.Download) {
			continue
		}
		n--
		if slowest == nil || p.since.Before(slowest.since) {
			slowest = p
		}
	}
	if n > 0 {
		return true
	}
	if time.Since(slowest.since) < slowAfter {
		return false
	}
	delete(l.places, slowest)
	if slowest.out != nil {
		slowest.out.interrupt()
	}
	return true
}

// setWriter names the writer that is interrupted when another download gets the place.
func (p *place) setWriter(out *TimedWriter) {
	if p != nil {
		p.limiter.mu.Lock()
		defer p.limiter.mu.Unlock()
		p.out = out
	}
}

// tookPace notes that the client has taken paceBytes.
func (p *place) tookPace() {
	if p != nil {
		p.limiter.mu.Lock()
		defer p.limiter.mu.Unlock()
		p.since = time.Now()
	}
}

// lost says whether another download got the place.
func (p *place) lost() bool {
	if p == nil {
		return false
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	_, has := p.limiter.places[p]
	return !has
}

func (p *place) release() {
	if p != nil {
		p.limiter.mu.Lock()
		defer p.limiter.mu.Unlock()
		delete(p.limiter.places, p)
	}
}

// buffer gives memory to copy size bytes through. release must be called once, after its last use.
func (l *DownloadLimiter) buffer(size int64) (memory []byte, release func()) {
	if l == nil || size < copySize {
		return make([]byte, max(1, min(size, copySize))), func() {}
	}
	pooled, ok := l.buffers.Get().(*[]byte)
	if !ok {
		pooled = new(make([]byte, copySize))
	}
	return *pooled, func() { l.buffers.Put(pooled) }
}
