package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/worker"
)

// frozen answers nothing from one call on: a part that takes connections and is silent.
type frozen struct {
	from   string
	silent bool
	idle   func() // closes what a client keeps open
}

func (f *frozen) wait(ctx context.Context, call string) error {
	f.silent = f.silent || call == f.from
	if !f.silent {
		return nil
	}
	f.idle() // time stands still while somebody reads from a connection
	<-ctx.Done()
	return domain.Wrap(domain.KindUnavailable, ctx.Err(), "no answer came")
}

type frozenCatalog struct {
	worker.Catalog
	*frozen
}

func (f frozenCatalog) Claim(ctx context.Context, key domain.HourKey, name string) (catalog.Claim, bool, error) {
	if err := f.wait(ctx, "claim"); err != nil {
		return catalog.Claim{}, false, err
	}
	return f.Catalog.Claim(ctx, key, name)
}

func (f frozenCatalog) Commit(ctx context.Context, c catalog.Claim, b catalog.BuildResult) error {
	if err := f.wait(ctx, "commit"); err != nil {
		return err
	}
	return f.Catalog.Commit(ctx, c, b)
}

func (f frozenCatalog) Published(ctx context.Context, c catalog.Claim) (bool, error) {
	if err := f.wait(ctx, "published"); err != nil {
		return false, err
	}
	return f.Catalog.Published(ctx, c)
}

func (f frozenCatalog) Release(ctx context.Context, c catalog.Claim) error {
	if err := f.wait(ctx, "release"); err != nil {
		return err
	}
	return f.Catalog.Release(ctx, c)
}

func (f frozenCatalog) Fail(ctx context.Context, c catalog.Claim, failure catalog.Failure) error {
	if err := f.wait(ctx, "fail"); err != nil {
		return err
	}
	return f.Catalog.Fail(ctx, c, failure)
}

type frozenArchives struct {
	worker.Archives
	*frozen
}

func (f frozenArchives) Complete(ctx context.Context, key, id string, parts []objstore.Part, opts objstore.CompleteOptions) (string, error) {
	if err := f.wait(ctx, "complete"); err != nil {
		return "", err
	}
	return f.Archives.Complete(ctx, key, id, parts, opts)
}

func (f frozenArchives) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if err := f.wait(ctx, "stat"); err != nil {
		return objstore.Info{}, err
	}
	return f.Archives.Stat(ctx, key)
}

func (f frozenArchives) Abort(ctx context.Context, key, id string) error {
	if err := f.wait(ctx, "abort"); err != nil {
		return err
	}
	return f.Archives.Abort(ctx, key, id)
}

// TestPartingFromFrozenParts: a worker that is told to stop while a part is silent has no more than the time
// of its drain; what it could not tell, a lapsed claim tells. The time is that of a bubble, and goes on only
// while nobody works.
func TestPartingFromFrozenParts(t *testing.T) {
	for _, from := range []string{"claim", "commit", "fail", "complete", "stat", "stat, of a small one"} {
		t.Run(from, func(t *testing.T) {
			f := newFixture(t)
			s := &frozen{from: from, idle: f.store.Close}
			switch from {
			case "fail":
				size := int64(10)
				f.recording(hour(1), &size) // its bytes are missing
			case "stat, of a small one":
				f.add(hour(1), 600)
				s.from = "stat"
			default:
				f.add(hour(1), 6<<20)
			}
			f.plan()
			f.store.Close() // connections of the bubble alone are used there
			began := time.Now()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(began)) // a store refuses signatures of another time
				cfg := config()
				cfg.Drain = 25 * time.Second
				b := worker.NewBuilder(cfg, frozenCatalog{f.catalog, s}, f.store.Recordings(), frozenArchives{f.store.Archives(), s}, time.Now, f.log)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ended := make(chan error, 1)
				go func() { ended <- b.Hour(ctx, task(1)) }()
				synctest.Wait()
				if !s.silent {
					t.Fatal("no part is silent")
				}
				stop()
				stopped := time.Now()
				if err := <-ended; err == nil {
					t.Error("the build says that it is published")
				}
				if took := time.Since(stopped); took > cfg.Drain {
					t.Errorf("the build ends %s after the order to stop", took)
				}
				f.store.Close()
			})
		})
	}
}
