package worker_test

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/worker"
)

func away() error { return domain.Errorf(domain.KindUnavailable, "the line is dead") }

// orders are failures to come, in order: what happens to a call, and whether it
// takes place before its answer is lost.
type orders struct {
	mu    sync.Mutex
	queue map[string][]bool
	calls map[string]int
}

// fail makes the next calls of a name fail; done says of each whether it takes place.
func (o *orders) fail(name string, done ...bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		o.queue = map[string][]bool{}
	}
	o.queue[name] = append(o.queue[name], done...)
}

// run runs do, unless ordered otherwise.
func (o *orders) run(name string, do func() error) error {
	o.mu.Lock()
	if o.calls == nil {
		o.calls = map[string]int{}
	}
	o.calls[name]++
	var failing, done bool
	if q := o.queue[name]; len(q) > 0 {
		failing, done = true, q[0]
		o.queue[name] = q[1:]
	}
	o.mu.Unlock()
	if failing && !done {
		return away()
	}
	if err := do(); err != nil || !failing {
		return err
	}
	return away()
}

func (o *orders) count(name string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[name]
}

// faultyCatalog loses answers on order.
type faultyCatalog struct {
	worker.Catalog
	orders
}

func (f *faultyCatalog) Claim(ctx context.Context, key domain.HourKey, name string) (c catalog.Claim, ok bool, err error) {
	err = f.run("claim", func() (err error) {
		c, ok, err = f.Catalog.Claim(ctx, key, name)
		return err
	})
	return c, ok, err
}

func (f *faultyCatalog) Renew(ctx context.Context, c catalog.Claim) error {
	return f.run("renew", func() error { return f.Catalog.Renew(ctx, c) })
}

func (f *faultyCatalog) Commit(ctx context.Context, c catalog.Claim, b catalog.BuildResult) error {
	return f.run("commit", func() error { return f.Catalog.Commit(ctx, c, b) })
}

func (f *faultyCatalog) Published(ctx context.Context, c catalog.Claim) (yes bool, err error) {
	err = f.run("published", func() (err error) {
		yes, err = f.Catalog.Published(ctx, c)
		return err
	})
	return yes, err
}

func (f *faultyCatalog) Fail(ctx context.Context, c catalog.Claim, failure catalog.Failure) error {
	return f.run("fail", func() error { return f.Catalog.Fail(ctx, c, failure) })
}

// endedCatalog tells what is published only once a renewal was refused, for which it has them come
// quickly.
type endedCatalog struct {
	*faultyCatalog
	once    sync.Once
	refused chan struct{}
}

func (e *endedCatalog) Lease() time.Duration { return 3 * time.Millisecond }

func (e *endedCatalog) Renew(ctx context.Context, c catalog.Claim) error {
	err := e.faultyCatalog.Renew(ctx, c)
	if domain.KindOf(err) == domain.KindLost {
		e.once.Do(func() { close(e.refused) })
	}
	return err
}

func (e *endedCatalog) Published(ctx context.Context, c catalog.Claim) (bool, error) {
	<-e.refused
	return e.faultyCatalog.Published(ctx, c)
}

// faultyArchives loses answers on order.
type faultyArchives struct {
	worker.Archives
	orders
}

func (f *faultyArchives) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (etag string, err error) {
	err = f.run("put", func() (err error) {
		etag, err = f.Archives.Put(ctx, key, data, opts)
		return err
	})
	return etag, err
}

func (f *faultyArchives) PutPart(ctx context.Context, key, id string, n int, data []byte, sum uint32) (p objstore.Part, err error) {
	err = f.run("part", func() (err error) {
		p, err = f.Archives.PutPart(ctx, key, id, n, data, sum)
		return err
	})
	return p, err
}

func (f *faultyArchives) Complete(ctx context.Context, key, id string, parts []objstore.Part, opts objstore.CompleteOptions) (etag string, err error) {
	err = f.run("complete", func() (err error) {
		etag, err = f.Archives.Complete(ctx, key, id, parts, opts)
		return err
	})
	return etag, err
}

func (f *faultyArchives) Stat(ctx context.Context, key string) (info objstore.Info, err error) {
	err = f.run("stat", func() (err error) {
		info, err = f.Archives.Stat(ctx, key)
		return err
	})
	return info, err
}

func (f *faultyArchives) Remove(ctx context.Context, key string) error {
	return f.run("remove", func() error { return f.Archives.Remove(ctx, key) })
}

// mute says nothing of one recording.
type mute struct {
	worker.Recordings
	about string
}

func (m mute) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if key == m.about {
		return objstore.Info{}, away()
	}
	return m.Recordings.Stat(ctx, key)
}

// gated holds every recording's bytes back until the gate opens.
type gated struct {
	worker.Recordings
	reached chan struct{} // gets a value when a read waits
	open    chan struct{}
}

func newGated(r worker.Recordings) *gated {
	return &gated{Recordings: r, reached: make(chan struct{}, 1000), open: make(chan struct{})}
}

func (g *gated) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	o, err := g.Recordings.Get(ctx, key, opts)
	if err == nil {
		o.Body = &gatedBody{ReadCloser: o.Body, gate: g, closed: make(chan struct{})}
	}
	return o, err
}

type gatedBody struct {
	io.ReadCloser
	gate   *gated
	once   sync.Once
	closed chan struct{}
}

func (b *gatedBody) Read(p []byte) (int, error) {
	b.gate.reached <- struct{}{}
	select {
	case <-b.gate.open:
		return b.ReadCloser.Read(p)
	case <-b.closed:
		return 0, io.ErrClosedPipe
	}
}

func (b *gatedBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.ReadCloser.Close()
}
