package web

import (
	"sync"

	"github.com/callvault/callvault/internal/domain"
)

// BodyLimits bound the bodies that pass through this process at once. Each holds a connection of the
// object store and memory for as long as its reader takes.
type BodyLimits struct {
	Link   int // of one object: downloaders open up to 16, and a new one before the old is seen to end
	Tenant int
	All    int // well below the connections of the embedded store
}

// Bodies counts the bodies that pass through this process. The nil Bodies lets all pass.
type Bodies struct {
	limits BodyLimits

	mu      sync.Mutex
	all     int
	tenants map[string]int
	links   map[string]int

	buffers sync.Pool // *[]byte of copySize
}

// NewBodies makes Bodies. Zero limits take the defaults: 32, 128 and 512.
func NewBodies(l BodyLimits) *Bodies {
	if l.Link == 0 {
		l.Link = 32
	}
	if l.Tenant == 0 {
		l.Tenant = 128
	}
	if l.All == 0 {
		l.All = 512
	}
	return &Bodies{limits: l, tenants: map[string]int{}, links: map[string]int{}}
}

// enter makes room for one more body, of what the tenant calls link. leave must be called once. Error:
// KindUnavailable.
func (b *Bodies) enter(tenant, link string) (leave func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	link = tenant + "\x00" + link
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= b.limits.All || b.tenants[tenant] >= b.limits.Tenant || b.links[link] >= b.limits.Link {
		return nil, domain.Errorf(domain.KindUnavailable, "too many downloads at once")
	}
	b.add(tenant, link, 1)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.add(tenant, link, -1)
	}, nil
}

// buffer gives memory to copy size bytes through. release must be called once, when it is used no more.
func (b *Bodies) buffer(size int64) (memory []byte, release func()) {
	if b == nil || size < copySize {
		return make([]byte, max(1, min(size, copySize))), func() {}
	}
	pooled, ok := b.buffers.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, copySize)
		pooled = &fresh
	}
	return *pooled, func() { b.buffers.Put(pooled) }
}

func (b *Bodies) add(tenant, link string, n int) {
	b.all += n
	b.tenants[tenant] += n
	b.links[link] += n
	if b.tenants[tenant] == 0 {
		delete(b.tenants, tenant)
	}
	if b.links[link] == 0 {
		delete(b.links, link)
	}
}
