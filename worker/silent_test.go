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

// silent is a part that takes connections but answers nothing from a given call on.
type silent struct {
	from  string // the first call that is not answered
	begun bool
	idle  func() // closes idle connections
}

func (f *silent) wait(ctx context.Context, call string) error {
	f.begun = f.begun || call == f.from
	if !f.begun {
		return nil
	}
	f.idle() // a goroutine that reads from a connection would stop the bubble's time
	<-ctx.Done()
	return domain.Wrap(domain.KindUnavailable, ctx.Err(), "no answer came")
}

type silentCatalog struct {
	worker.Builds
	*silent
}

func (f silentCatalog) Claim(ctx context.Context, key domain.HourKey, name string) (catalog.Claim, bool, error) {
	if err := f.wait(ctx, "claim"); err != nil {
		return catalog.Claim{}, false, err
	}
	return f.Builds.Claim(ctx, key, name)
}

func (f silentCatalog) Commit(ctx context.Context, c catalog.Claim, b catalog.BuildResult) error {
	if err := f.wait(ctx, "commit"); err != nil {
		return err
	}
	return f.Builds.Commit(ctx, c, b)
}

func (f silentCatalog) Published(ctx context.Context, c catalog.Claim) (bool, error) {
	if err := f.wait(ctx, "published"); err != nil {
		return false, err
	}
	return f.Builds.Published(ctx, c)
}

func (f silentCatalog) Release(ctx context.Context, c catalog.Claim) error {
	if err := f.wait(ctx, "release"); err != nil {
		return err
	}
	return f.Builds.Release(ctx, c)
}

func (f silentCatalog) Fail(ctx context.Context, c catalog.Claim, failure catalog.Failure) error {
	if err := f.wait(ctx, "fail"); err != nil {
		return err
	}
	return f.Builds.Fail(ctx, c, failure)
}

type silentArchives struct {
	worker.Archives
	*silent
}

func (f silentArchives) Complete(ctx context.Context, key, id string, parts []objstore.Part, opts objstore.CompleteOptions) (string, error) {
	if err := f.wait(ctx, "complete"); err != nil {
		return "", err
	}
	return f.Archives.Complete(ctx, key, id, parts, opts)
}

func (f silentArchives) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if err := f.wait(ctx, "stat"); err != nil {
		return objstore.Info{}, err
	}
	return f.Archives.Stat(ctx, key)
}

func (f silentArchives) Abort(ctx context.Context, key, id string) error {
	if err := f.wait(ctx, "abort"); err != nil {
		return err
	}
	return f.Archives.Abort(ctx, key, id)
}

// A worker that is told to stop while a part is silent stops within the time of its drain. If it
// could not report to the catalog, its claim lapses. The test runs in a synctest bubble, where
// time passes only while all goroutines wait.
func TestStopWithSilentParts(t *testing.T) {
	for _, from := range []string{"claim", "commit", "fail", "complete", "stat", "stat, of a small one"} {
		t.Run(from, func(t *testing.T) {
			f := newFixture(t)
			s := &silent{from: from, idle: f.store.Close}
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
			f.store.Close() // the bubble may only use connections that were opened in it
			began := time.Now()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(began)) // a store refuses signatures of another day
				cfg := config()
				cfg.Drain = 25 * time.Second
				b := worker.NewBuilder(cfg, silentCatalog{f.catalog, s}, f.store.Recordings(), silentArchives{f.store.Archives(), s}, time.Now, f.log)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ended := make(chan error, 1)
				go func() { ended <- b.BuildHour(ctx, task(1)) }()
				synctest.Wait()
				if !s.begun {
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

// A build fails when the catalog or the store is unavailable for longer than Config.GiveUp.
func TestGiveUp(t *testing.T) {
	f := newFixture(t)
	f.add(hour(0), 100)
	f.add(hour(1), 100)
	f.plan()
	cfg := config()
	cfg.GiveUp = 20 * time.Millisecond
	for n, calls := range [][]string{{"commit", "published"}, {"stat"}} {
		c, archives := &faultyCatalog{Builds: f.catalog}, &faultyArchives{archives: f.store.Archives()}
		for _, call := range calls {
			c.fail(call, make([]bool, 20)...) // too many to be waited for
			archives.fail(call, make([]bool, 20)...)
		}
		b := worker.NewBuilder(cfg, c, f.store.Recordings(), archives, time.Now, f.log)
		f.expectKind(b.BuildHour(f.ctx, task(n)), domain.KindUnavailable)
		if v := f.view(n); v.Failures != 1 || v.State != catalog.StatePending {
			t.Errorf("%v: the hour is %s after %d failures", calls, v.State, v.Failures)
		}
	}
}
