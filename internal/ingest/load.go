package ingest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// Registrar stores a batch: all of it or nothing.
type Registrar interface {
	Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error)
}

// KeyChecker is a Registrar that refuses object keys that the store cannot take. It does not ask
// the store.
type KeyChecker struct {
	Registrar
	CheckKey func(key string) error // error: KindInvalid
}

// Register checks every key, then stores the batch.
func (s KeyChecker) Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error) {
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

// WithOrigin returns a Registrar that sets the origin of every batch.
func WithOrigin(o audit.Origin, to Registrar) Registrar { return originRegistrar{to, o} }

type originRegistrar struct {
	Registrar
	origin audit.Origin
}

// Register stores the batch with the origin.
func (s originRegistrar) Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error) {
	b.Origin = s.origin
	return s.Registrar.Register(ctx, tenant, b)
}

// Result says how much of a stream is stored.
type Result struct {
	Lines   int `json:"lines"` // lines stored, empty ones not counted
	Batches int `json:"batches"`
	catalog.Counts
}

const (
	// Lines larger than largeLine bytes are taken in one at a time, because parsing and storing one
	// takes several times its size of memory.
	largeLine = 4 << 20
	// largeWait bounds the wait for other large lines.
	largeWait = 30 * time.Second
)

// Loader loads any number of streams at once. Among all of them it takes in one large line at a
// time.
type Loader struct{ large chan struct{} }

// NewLoader makes a Loader.
func NewLoader() *Loader { return &Loader{make(chan struct{}, 1)} }

// admitLarge waits until no other large line is taken in. Errors: KindUnavailable after largeWait,
// ctx's.
func (l *Loader) admitLarge(ctx context.Context) error {
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

// Load loads a stream with a Loader of its own.
func Load(ctx context.Context, to Registrar, tenant string, r io.Reader, seen func(catalog.Batch)) (Result, error) {
	return NewLoader().Load(ctx, to, tenant, r, seen)
}

// Load stores a stream batch by batch, each batch in a transaction of its own. After an error the
// Result counts the batches before it, which are stored. seen, which may be nil, is called with
// every stored batch. Loading a stream again stores nothing twice.
//
// Errors: *catalog.LineError for an invalid line, the registrar's, the reader's, ctx's,
// KindUnavailable when there are too many large lines.
func (l *Loader) Load(ctx context.Context, to Registrar, tenant string, r io.Reader, seen func(catalog.Batch)) (Result, error) {
	var result Result
	lines := NewReader(r)
	lines.admitLarge = func() error { return l.admitLarge(ctx) }
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

// next stores one batch. A large line is the last of its batch, so that other streams do not wait
// while this one is read on.
func (l *Loader) next(ctx context.Context, to Registrar, tenant string, lines *Reader, result *Result, seen func(catalog.Batch)) (done bool, err error) {
	defer func() {
		if lines.admitted {
			lines.admitted = false
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
