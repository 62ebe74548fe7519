package web

import (
	"cmp"
	"sync"

	"github.com/callvault/callvault/internal/domain"
)

// DownloadLimits bound the downloads that pass through this process at once. Each download holds a
// connection of the object store, and memory, for as long as its client takes.
type DownloadLimits struct {
	Object int // downloaders open up to 16, and a new one before the end of the old one is noticed
	Tenant int
	All    int
}

// DownloadLimiter counts the downloads that pass through this process. A nil DownloadLimiter has no
// limits.
type DownloadLimiter struct {
	limits DownloadLimits

	mu      sync.Mutex
	all     int
	tenants map[string]int
	objects map[string]int // by tenant and object

	buffers sync.Pool // *[]byte of copySize
}

// NewDownloadLimiter makes a DownloadLimiter. Zero limits take the defaults: 32, 128 and 512.
func NewDownloadLimiter(l DownloadLimits) *DownloadLimiter {
	l.Object = cmp.Or(l.Object, 32)
	l.Tenant = cmp.Or(l.Tenant, 128)
	l.All = cmp.Or(l.All, 512)
	return &DownloadLimiter{limits: l, tenants: map[string]int{}, objects: map[string]int{}}
}

// acquire counts one more download. release must be called once. Error: KindUnavailable when a
// limit is reached.
func (d *DownloadLimiter) acquire(tenant, object string) (release func(), err error) {
	if d == nil {
		return func() {}, nil
	}
	object = tenant + "\x00" + object
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= d.limits.All || d.tenants[tenant] >= d.limits.Tenant || d.objects[object] >= d.limits.Object {
		return nil, domain.Errorf(domain.KindUnavailable, "too many downloads at once")
	}
	d.add(tenant, object, 1)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.add(tenant, object, -1)
	}, nil
}

func (d *DownloadLimiter) add(tenant, object string, n int) {
	d.all += n
	d.tenants[tenant] += n
	d.objects[object] += n
	if d.tenants[tenant] == 0 {
		delete(d.tenants, tenant)
	}
	if d.objects[object] == 0 {
		delete(d.objects, object)
	}
}

// buffer gives memory to copy size bytes through. release must be called once, after its last use.
func (d *DownloadLimiter) buffer(size int64) (memory []byte, release func()) {
	if d == nil || size < copySize {
		return make([]byte, max(1, min(size, copySize))), func() {}
	}
	pooled, ok := d.buffers.Get().(*[]byte)
	if !ok {
		pooled = new(make([]byte, copySize))
	}
	return *pooled, func() { d.buffers.Put(pooled) }
}
