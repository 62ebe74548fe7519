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

// parts measures the object store and the catalog.
type parts struct {
	store   *prometheus.HistogramVec
	catalog *prometheus.HistogramVec
}

func newParts() parts {
	return parts{
		store: histograms("store_request_duration_seconds", "Time until the object store's answer begins, sending included, by operation and outcome.",
			latencies(), "operation", "outcome"),
		catalog: histograms("catalog_operation_duration_seconds",
			"Time of statements (query, exec), snapshots (read) and transactions (write) of the catalog, by outcome.",
			latencies(), "operation", "outcome"),
	}
}

// Store counts a request to the object store.
func (p *parts) Store(o objstore.Observed) {
	p.store.WithLabelValues(o.Operation, o.Outcome).Observe(o.Took.Seconds())
}

// Catalog counts an operation of the catalog.
func (p *parts) Catalog(o db.Observed) {
	p.catalog.WithLabelValues(o.Operation, o.Outcome).Observe(o.Took.Seconds())
}

// Bucket is where recordings are read from. Errors as of package objstore.
type Bucket interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Stat(ctx context.Context, key string) (objstore.Info, error)
}

// Sources returns b with its errors counted.
func (m *Metrics) Sources(b Bucket) Bucket { return sources{b, &m.builds} }

type sources struct {
	bucket Bucket
	builds *builds
}

// failed counts an error, unless the caller has cancelled.
func (s sources) failed(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		s.builds.sources.WithLabelValues(string(domain.KindOf(err))).Inc()
	}
}

func (s sources) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	o, err := s.bucket.Get(ctx, key, opts)
	s.failed(ctx, err)
	if err == nil {
		o.Body = body{o.Body, ctx, s}
	}
	return o, err
}

func (s sources) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := s.bucket.Stat(ctx, key)
	s.failed(ctx, err)
	return info, err
}

// body counts a read that breaks off.
type body struct {
	io.ReadCloser
	ctx     context.Context // says whether the caller has cancelled
	sources sources
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.sources.failed(b.ctx, err)
	}
	return n, err
}
