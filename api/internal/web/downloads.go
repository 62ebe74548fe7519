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

	mu    sync.Mutex
	slots map[*slot]struct{} // that have a place

	buffers sync.Pool // *[]byte of copySize
}

// slot is a download's place. A nil slot never ends.
type slot struct {
	Download
	limiter *DownloadLimiter

	// The limiter's mutex guards these.
	since time.Time    // when the current paceBytes began
	out   *TimedWriter // nil until the answer begins
}

var errLostSlot = errors.New("the download was slow, and another one needed its place")

// NewDownloadLimiter makes a DownloadLimiter. Zero limits take the defaults: 16, 32, 128 and 512.
func NewDownloadLimiter(l DownloadLimits) *DownloadLimiter {
	l.Address = cmp.Or(l.Address, 16)
	l.Object = cmp.Or(l.Object, 32)
	l.Tenant = cmp.Or(l.Tenant, 128)
	l.All = cmp.Or(l.All, 512)
	return &DownloadLimiter{limits: l, slots: map[*slot]struct{}{}}
}

// acquire gives a download a place. release must be called at its end. Error: KindUnavailable when
// a limit is reached and no download that it counts is slow.
func (l *DownloadLimiter) acquire(d Download) (*slot, error) {
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
	s := &slot{Download: d, limiter: l, since: time.Now()}
	l.slots[s] = struct{}{}
	return s, nil
}

// makeRoom takes the place of the slowest download if as many as n are counted. It says whether
// there is room.
func (l *DownloadLimiter) makeRoom(n int, counts func(Download) bool) bool {
	var slowest *slot
	for s := range l.slots {
		if !counts(s.Download) {
			continue
		}
		n--
		if slowest == nil || s.since.Before(slowest.since) {
			slowest = s
		}
	}
	if n > 0 {
		return true
	}
	if time.Since(slowest.since) < slowAfter {
		return false
	}
	delete(l.slots, slowest)
	if slowest.out != nil {
		slowest.out.interrupt()
	}
	return true
}

// serve tells the slot who writes the answer.
func (s *slot) serve(out *TimedWriter) {
	if s != nil {
		s.limiter.mu.Lock()
		defer s.limiter.mu.Unlock()
		s.out = out
	}
}

// moved says that the client has taken paceBytes.
func (s *slot) moved() {
	if s != nil {
		s.limiter.mu.Lock()
		defer s.limiter.mu.Unlock()
		s.since = time.Now()
	}
}

// lost says whether another download got the place.
func (s *slot) lost() bool {
	if s == nil {
		return false
	}
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	_, has := s.limiter.slots[s]
	return !has
}

func (s *slot) release() {
	if s != nil {
		s.limiter.mu.Lock()
		defer s.limiter.mu.Unlock()
		delete(s.limiter.slots, s)
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
