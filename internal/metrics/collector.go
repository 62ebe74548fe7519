package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	// cacheTime is how long a state is reused.
	cacheTime = 10 * time.Second
	// readTimeout is less than Prometheus's scrape timeout of ten seconds, after which all metrics
	// would be lost.
	readTimeout = 5 * time.Second
)

// metric is one metric of a state of type T. It has values for any number of label sets.
type metric[T any] struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	values     func(state T, set setter)
}

// setter sets a metric's value for one set of labels.
type setter = func(value float64, labels ...string)

// number is a gauge without labels.
func number[T any, V int | int64 | float64](name, help string, value func(T) V) metric[T] {
	return metric[T]{name: name, help: help, kind: prometheus.GaugeValue,
		values: func(state T, set setter) { set(float64(value(state))) }}
}

// collector reads a state at a scrape and exposes its metrics.
type collector[T any] struct {
	metrics []metric[T]
	descs   []*prometheus.Desc // of the metrics
	up      *prometheus.Desc   // says whether the state could be read; nil when reading cannot fail
	read    func() (T, error)
}

func newCollector[T any](read func() (T, error), metrics []metric[T]) *collector[T] {
	c := &collector[T]{metrics: metrics, read: read}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc(namespace+"_"+m.name, m.help, m.labels, nil))
	}
	return c
}

func (c *collector[T]) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
	if c.up != nil {
		to <- c.up
	}
}

func (c *collector[T]) Collect(to chan<- prometheus.Metric) {
	state, err := c.read()
	up := 0.0
	if err == nil {
		up = 1
		for i, m := range c.metrics {
			m.values(state, func(value float64, labels ...string) {
				to <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
			})
		}
	}
	if c.up != nil {
		to <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up)
	}
}

// newCachedCollector makes a collector of a state that can fail to be read.
func newCachedCollector[T any](m *Metrics, name string, read func(ctx context.Context) (T, error), metrics []metric[T]) *collector[T] {
	c := newCollector(cached(m, name, read), metrics)
	c.up = prometheus.NewDesc(namespace+"_collector_up", "Whether the numbers of this collector could be read; they are left out else.",
		nil, prometheus.Labels{"collector": name})
	return c
}

// cached returns a function that reads at most once in cacheTime. Parallel calls share one answer.
func cached[T any](m *Metrics, name string, read func(ctx context.Context) (T, error)) func() (T, error) {
	var mu sync.Mutex
	var value T
	var err error
	var at time.Time
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if !at.IsZero() && m.now().Sub(at) < cacheTime {
			return value, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		defer cancel()
		before := err
		value, err = read(ctx)
		at = m.now()
		if err != nil && before == nil {
			m.log.Warn("numbers cannot be read and are left out", zap.String("collector", name), zap.Error(err))
		}
		return value, err
	}
}
