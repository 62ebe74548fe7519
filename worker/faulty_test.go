package worker_test

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/worker"
)

func unavailable() error { return domain.Errorf(domain.KindUnavailable, "no answer came") }

// faults are failures that a test has ordered, by the name of the call.
type faults struct {
	mu    sync.Mutex
	queue map[string][]bool
	calls map[string]int
}

// fail makes the next calls of a name fail. done says of each whether it takes effect before its
// answer is lost.
func (f *faults) fail(name string, done ...bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queue == nil {
		f.queue = map[string][]bool{}
	}
	f.queue[name] = append(f.queue[name], done...)
}

// run runs do, or lets it fail as ordered.
func (f *faults) run(name string, do func() error) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[name]++
	var failing, done bool
	if q := f.queue[name]; len(q) > 0 {
		failing, done = true, q[0]
		f.queue[name] = q[1:]
	}
	f.mu.Unlock()
	if failing && !done {
		return unavailable()
	}
	if err := do(); err != nil || !failing {
		return err
	}
	return unavailable()
}

func (f *faults) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name]
}

// faultyCatalog is a catalog whose answers get lost as ordered.
type faultyCatalog struct {
	worker.Builds
	faults
}

func (f *faultyCatalog) Claim(ctx context.Context, key domain.HourKey, name string) (c catalog.Claim, ok bool, err error) {
	err = f.run("claim", func() (err error) {
		c, ok, err = f.Builds.Claim(ctx, key, name)
		return err
	})
	return c, ok, err
}

func (f *faultyCatalog) Renew(ctx context.Context, c catalog.Claim) error {
	return f.run("renew", func() error { return f.Builds.Renew(ctx, c) })
}

func (f *faultyCatalog) Commit(ctx context.Context, c catalog.Claim, b catalog.BuildResult) error {
	return f.run("commit", func() error { return f.Builds.Commit(ctx, c, b) })
}

func (f *faultyCatalog) Published(ctx context.Context, c catalog.Claim) (yes bool, err error) {
	err = f.run("published", func() (err error) {
		yes, err = f.Builds.Published(ctx, c)
		return err
	})
	return yes, err
}

func (f *faultyCatalog) Fail(ctx context.Context, c catalog.Claim, failure catalog.Failure) error {
	return f.run("fail", func() error { return f.Builds.Fail(ctx, c, failure) })
}

// endedCatalog answers Published only after a renewal was refused. Its lease is short, so that
// renewals come quickly.
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

// archives is the bucket of builders and sweepers.
type archives interface {
	worker.Archives
	lifecycle.Archives
}

// faultyArchives is a bucket whose answers get lost as ordered.
type faultyArchives struct {
	archives
	faults
}

func (f *faultyArchives) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (etag string, err error) {
	err = f.run("put", func() (err error) {
		etag, err = f.archives.Put(ctx, key, data, opts)
		return err
	})
	return etag, err
}

func (f *faultyArchives) PutPart(ctx context.Context, key, id string, n int, data []byte, sum uint32) (p objstore.Part, err error) {
	err = f.run("part", func() (err error) {
		p, err = f.archives.PutPart(ctx, key, id, n, data, sum)
		return err
	})
	return p, err
}

func (f *faultyArchives) Complete(ctx context.Context, key, id string, parts []objstore.Part, opts objstore.CompleteOptions) (etag string, err error) {
	err = f.run("complete", func() (err error) {
		etag, err = f.archives.Complete(ctx, key, id, parts, opts)
		return err
	})
	return etag, err
}

func (f *faultyArchives) Stat(ctx context.Context, key string) (info objstore.Info, err error) {
	err = f.run("stat", func() (err error) {
		info, err = f.archives.Stat(ctx, key)
		return err
	})
	return info, err
}

func (f *faultyArchives) Remove(ctx context.Context, key string) error {
	return f.run("remove", func() error { return f.archives.Remove(ctx, key) })
}

// failingStat is a bucket whose Stat fails for one key.
type failingStat struct {
	worker.Recordings
	key string
}

func (m failingStat) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if key == m.key {
		return objstore.Info{}, unavailable()
	}
	return m.Recordings.Stat(ctx, key)
}

// gatedRecordings is a bucket whose bytes can't be read before open is closed.
type gatedRecordings struct {
	worker.Recordings
	reached chan struct{} // gets a value when a read begins to wait
	open    chan struct{}
}

func newGated(r worker.Recordings) *gatedRecordings {
	return &gatedRecordings{Recordings: r, reached: make(chan struct{}, 1000), open: make(chan struct{})}
}

func (g *gatedRecordings) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	o, err := g.Recordings.Get(ctx, key, opts)
	if err == nil {
		o.Body = &gatedBody{ReadCloser: o.Body, gate: g, closed: make(chan struct{})}
	}
	return o, err
}

type gatedBody struct {
	io.ReadCloser
	gate   *gatedRecordings
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
