package web

import (
	"cmp"
	"sync"

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

// DownloadKey names a download for the limits.
type DownloadKey struct {
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
	places shares[DownloadKey]

	buffers sync.Pool // *[]byte of copySize
}

// NewDownloadLimiter makes a DownloadLimiter. Zero limits take the defaults: 16, 32, 128 and 512.
func NewDownloadLimiter(l DownloadLimits) *DownloadLimiter {
	l.Address = cmp.Or(l.Address, 16)
	l.Object = cmp.Or(l.Object, 32)
	l.Tenant = cmp.Or(l.Tenant, 128)
	l.All = cmp.Or(l.All, 512)
	return &DownloadLimiter{limits: l, places: shares[DownloadKey]{}}
}

// acquire gives a download a place. release must be called at its end. Error: KindUnavailable when
// a limit is reached and no download that it counts is slow.
func (l *DownloadLimiter) acquire(d DownloadKey) (*share, error) {
	if l == nil {
		return nil, nil
	}
	d.Address = network(d.Address)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, limit := range []struct {
		n      int
		counts func(DownloadKey) bool
	}{
		{l.limits.Address, func(o DownloadKey) bool { return o == d }},
		{l.limits.Object, func(o DownloadKey) bool { return o.Tenant == d.Tenant && o.Object == d.Object }},
		{l.limits.Tenant, func(o DownloadKey) bool { return o.Tenant == d.Tenant }},
		{l.limits.All, func(DownloadKey) bool { return true }},
	} {
		if !l.places.makeRoom(int64(limit.n-1), limit.counts, nil) {
			return nil, domain.Errorf(domain.KindUnavailable, "too many downloads at once")
		}
	}
	s := &share{size: 1, mu: &l.mu}
	l.places[s] = d
	return s, nil
}

func (l *DownloadLimiter) release(s *share) {
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.places, s)
	}
}

// buffer gives memory to copy size bytes through. release must be called once, after its last use.
func (l *DownloadLimiter) buffer(size int64) (memory []byte, release func()) {
	if l == nil || size < copySize {
		return make([]byte, min(size, copySize)), func() {}
	}
	pooled, ok := l.buffers.Get().(*[]byte)
	if !ok {
		pooled = new(make([]byte, copySize))
	}
	return *pooled, func() { l.buffers.Put(pooled) }
}
