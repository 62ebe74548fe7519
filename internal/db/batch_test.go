package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

var errOdd = errors.New("odd")

// TestGroupCommit has many callers share few batches: everybody gets the own answer, no batch is
// larger than it may be, and one runs at a time.
func TestGroupCommit(t *testing.T) {
	const callers, size = 200, 8
	var running, seen atomic.Int64
	g := groupCommit{size: size, run: func(_ context.Context, batch []*request) {
		if n := running.Add(1); n > 1 || len(batch) > size || len(batch) == 0 {
			t.Errorf("%d batches at a time, this one of %d", n, len(batch))
		}
		defer running.Add(-1)
		for _, r := range batch {
			seen.Add(1)
			r.err = r.fn(nil)
		}
	}}
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			err := g.do(t.Context(), func(*Tx) error {
				if i%2 == 1 {
					return errOdd
				}
				return nil
			})
			if errors.Is(err, errOdd) != (i%2 == 1) {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if n := seen.Load(); n != callers {
		t.Fatalf("%d requests were run, want %d", n, callers)
	}
}

// TestGroupCommitPanics tells the callers of a batch that broke off, and serves the next ones.
func TestGroupCommitPanics(t *testing.T) {
	g := groupCommit{size: 4, run: func(_ context.Context, batch []*request) { batch[0].err = batch[0].fn(nil) }}
	err := g.do(t.Context(), func(tx *Tx) error { return fmt.Errorf("%v", tx.tx) }) // there is none: a mistake
	if domain.KindOf(err) != domain.KindInternal {
		t.Fatalf("%v", err)
	}
	must(t, g.do(t.Context(), func(*Tx) error { return nil }))
}

// TestPanics undoes a transaction whose function panics, and the database serves the next caller at
// once.
func TestPanics(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			ctx, cancel := context.WithTimeout(t.Context(), batchTimeout/3)
			defer cancel()
			broken := func(tx *Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO things (name) VALUES ('a')`)
				must(t, err)
				return errors.New(strings.Repeat("broken", -1)) // which panics
			}
			for _, transaction := range []func(context.Context, func(*Tx) error) error{d.Update, d.Batch} {
				func() {
					defer func() { _ = recover() }()
					if err := transaction(ctx, broken); domain.KindOf(err) != domain.KindInternal {
						t.Errorf("%v", err)
					}
				}()
				must(t, d.Update(ctx, func(tx *Tx) error { return nil }))
				if n := number(t, d, `SELECT count(*) FROM things`); n != 0 {
					t.Errorf("%d rows stand", n)
				}
			}
		})
	}
}

// TestGroupCommitLeaves: a caller whose time is over while others are served goes, and is not
// served any more.
func TestGroupCommitLeaves(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{})
	var served []string // by the only worker
	g := groupCommit{size: 1, run: func(_ context.Context, batch []*request) { batch[0].err = batch[0].fn(nil) }}
	serve := func(name string) func(*Tx) error {
		return func(*Tx) error {
			served = append(served, name)
			return nil
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		err := g.do(t.Context(), func(tx *Tx) error {
			close(began)
			<-end
			return serve("slow")(tx)
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	late := make(chan error)
	go func() { late <- g.do(ctx, serve("late")) }()
	all.Go(func() {
		if err := g.do(t.Context(), serve("next")); err != nil {
			t.Error(err)
		}
	})
	cancel()
	if err := <-late; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(end)
	all.Wait()
	if !slices.Equal(served, []string{"slow", "next"}) {
		t.Errorf("served: %v", served)
	}
}

// TestBatch has callers write at the same time, some of whom fail: what those did is undone, and
// nothing else.
func TestBatch(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			d.Prepare(`INSERT INTO things (name, n) VALUES ($1, $2)`)
			const callers = 40
			var all sync.WaitGroup
			for i := range callers {
				all.Go(func() {
					err := d.Batch(t.Context(), func(tx *Tx) error {
						_, err := tx.ExecContext(t.Context(), `INSERT INTO things (name, n) VALUES ($1, $2)`, fmt.Sprint(i), i)
						if err == nil && i%4 == 1 {
							err = errOdd
						}
						return err
					})
					if errors.Is(err, errOdd) != (i%4 == 1) {
						t.Errorf("caller %d: %v", i, err)
					}
				})
			}
			all.Wait()
			if n := number(t, d, `SELECT count(*) FROM things`); n != callers*3/4 {
				t.Errorf("%d rows, want %d", n, callers*3/4)
			}
			if n := number(t, d, `SELECT count(*) FROM things WHERE n % 4 = 1`); n != 0 {
				t.Errorf("%d rows of callers that failed", n)
			}
		})
	}
}
