package metrics

import (
	"context"
	"errors"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// parts is how long the parts take to answer.
type parts struct {
	store   *prometheus.HistogramVec
	catalog *prometheus.HistogramVec
}

func newParts() parts {
	return parts{
		store: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "store_request_duration_seconds",
			Help:    "Time until the object store's answer begins, sending included, by operation and outcome.",
			Buckets: latencies()}, []string{"operation", "outcome"}),
		catalog: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "catalog_operation_duration_seconds",
			Help:    "Time of statements (query, exec), snapshots (read) and transactions (write) of the catalog, by outcome.",
			Buckets: latencies()}, []string{"operation", "outcome"}),
	}
}

func (p *parts) all() []prometheus.Collector { return []prometheus.Collector{p.store, p.catalog} }

// Store counts a request to the object store.
func (p *parts) Store(o objstore.Observed) {
	p.store.WithLabelValues(o.Operation, o.Outcome).Observe(o.Took.Seconds())
}

// Catalog counts what was asked of the catalog.
func (p *parts) Catalog(o db.Observed) {
	p.catalog.WithLabelValues(o.Operation, o.Outcome).Observe(o.Took.Seconds())
}

// Bucket is where recordings are read from. Errors as of package objstore.
type Bucket interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Stat(ctx context.Context, key string) (objstore.Info, error)
}

// Sources is b, with its errors counted.
func (m *Metrics) Sources(b Bucket) Bucket { return sources{b, &m.builds} }

type sources struct {
	bucket Bucket
	builds *builds
}

// failed counts an error, unless it is only that nobody waits any more.
func (s sources) failed(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		s.builds.sources.WithLabelValues(string(domain.KindOf(err))).Inc()
	}
}

// Get is the bucket's.
func (s sources) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	o, err := s.bucket.Get(ctx, key, opts)
	s.failed(ctx, err)
	if err == nil {
		o.Body = body{o.Body, ctx, s}
	}
	return o, err
}

// Stat is the bucket's.
func (s sources) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := s.bucket.Stat(ctx, key)
	s.failed(ctx, err)
	return info, err
}

// body counts a reading that breaks off.
type body struct {
	io.ReadCloser
	ctx     context.Context //nolint:containedctx // tells who broke it off
	sources sources
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.sources.failed(b.ctx, err)
	}
	return n, err
}
