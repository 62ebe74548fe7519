package ingest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// Registrar takes one batch in, all of it or nothing.
type Registrar interface {
	Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error)
}

// Storable is a Registrar that refuses lines whose object key the store is known not to hold. It does
// not ask the store.
type Storable struct {
	Registrar
	CheckKey func(key string) error // error: KindInvalid
}

// Register looks at every key, then takes the batch in.
func (s Storable) Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error) {
	for _, l := range b.Recordings {
		if err := s.CheckKey(l.Value.ObjectKey); err != nil {
			return catalog.Counts{}, &catalog.LineError{Line: l.Number, Err: err}
		}
	}
	for _, l := range b.Conversations {
		if l.Value.RecordingKey == "" {
			continue
		}
		if err := s.CheckKey(l.Value.RecordingKey); err != nil {
			return catalog.Counts{}, &catalog.LineError{Line: l.Number, Err: err}
		}
	}
	return s.Registrar.Register(ctx, tenant, b)
}

// WithOrigin gives a Registrar that sets the origin of every batch.
func WithOrigin(o catalog.Origin, to Registrar) Registrar { return originRegistrar{to, o} }

type originRegistrar struct {
	Registrar
	origin catalog.Origin
}

// Register takes the batch in, with its origin.
func (s originRegistrar) Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error) {
	b.Origin = s.origin
	return s.Registrar.Register(ctx, tenant, b)
}

// Result says what of a stream is stored.
type Result struct {
	Lines   int // lines stored, empty ones not counted
	Batches int
	catalog.Counts
}

const (
	// largeLine is from where on lines are taken in one at a time, in bytes: while one is taken apart
	// and stored, the process holds several times its size.
	largeLine = 4 << 20
	// largeWait bounds the wait for the large lines before.
	largeWait = 30 * time.Second
)

// Loader takes streams in, any number at once, but of large lines one at a time.
type Loader struct{ large chan struct{} }

// NewLoader makes a Loader.
func NewLoader() *Loader { return &Loader{make(chan struct{}, 1)} }

// enter waits for its turn. Errors: KindUnavailable when that does not come, ctx's.
func (l *Loader) enter(ctx context.Context) error {
	wait := time.NewTimer(largeWait)
	defer wait.Stop()
	select {
	case l.large <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return domain.Errorf(domain.KindUnavailable, "too many large lines at once")
	}
}

// Load is Load with a Loader of its own.
func Load(ctx context.Context, to Registrar, tenant string, r io.Reader, seen func(catalog.Batch)) (Result, error) {
	return NewLoader().Load(ctx, to, tenant, r, seen)
}

// Load takes a whole stream in, batch by batch, each in a transaction of its own. After an error
// the Result says what is stored: the batches before it. seen, which may be nil, is called with
// every batch that is stored.
//
// Errors: *catalog.LineError for a line that is not right, the registrar's, the reader's, ctx's,
// KindUnavailable when large lines are too many.
// Where an answer to a batch was unclear, sending the stream again changes nothing twice.
func (l *Loader) Load(ctx context.Context, to Registrar, tenant string, r io.Reader, seen func(catalog.Batch)) (Result, error) {
	var result Result
	lines := NewReader(r)
	lines.large = func() error { return l.enter(ctx) }
	for {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		done, err := l.next(ctx, to, tenant, lines, &result, seen)
		if done || err != nil {
			return result, err
		}
	}
}

// next takes one batch in. A large line ends its batch, so nobody waits while a caller sends the rest.
func (l *Loader) next(ctx context.Context, to Registrar, tenant string, lines *Reader, result *Result, seen func(catalog.Batch)) (done bool, err error) {
	defer func() {
		if lines.entered {
			lines.entered = false
			<-l.large
		}
	}()
	batch, err := lines.Batch()
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	counts, err := to.Register(ctx, tenant, batch)
	if err != nil {
		return false, err
	}
	result.Lines += batch.Len()
	result.Batches++
	result.Add(counts)
	if seen != nil {
		seen(batch)
	}
	return false, nil
}
