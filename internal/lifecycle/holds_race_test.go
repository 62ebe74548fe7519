package lifecycle_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/domain"
)

// counted is a catalog that says when a number of deletions has been started.
type counted struct {
	*catalog.Catalog
	left    atomic.Int64
	reached chan struct{}
}

func (c *counted) StartDeletion(ctx context.Context, d catalog.DoomedArchive) (bool, error) {
	started, err := c.Catalog.StartDeletion(ctx, d)
	if c.left.Add(-1) == 0 {
		close(c.reached)
	}
	return started, err
}

// Holds are created while sweepers delete, and are killed at it. Each archive stays, or the answer
// names it.
func TestHoldRacesDeletions(t *testing.T) {
	f := newArchived(t)
	_, err := f.c.SetTenant(f.ctx, tenant, func(t *domain.Tenant) { t.SourceRetentionDays = 0 }, audit.Origin{})
	f.must(err)
	spared, told := 0, 0
	for round := range 8 {
		d := domain.DayOf(f.clock)
		keys := f.served(d, fmt.Sprint(round), 6)
		f.pass(26 * time.Hour)
		f.endDay()
		f.pass(2 * time.Hour)
		var group sync.WaitGroup
		var r catalog.HoldResult
		c := &counted{Catalog: f.c, reached: make(chan struct{})}
		c.left.Store(int64(1 + round%6))
		for range 3 {
			group.Go(func() {
				ctx, kill := context.WithTimeout(f.ctx, time.Duration(50+rand.IntN(400))*time.Millisecond)
				defer kill()
				_, _ = f.sweeper(c).Sweep(ctx) // it is killed mostly
			})
		}
		group.Go(func() {
			select {
			case <-c.reached:
			case <-time.After(time.Second): // they were killed before
			}
			r = f.hold(fmt.Sprint("race-", round), func(o *holds.Order) { o.From, o.To = d, d })
		})
		group.Wait()
		for range 3 {
			_, err := f.sweeper(f.c).Sweep(f.ctx)
			f.must(err)
			f.pass(25 * time.Hour)
		}
		for _, key := range keys {
			there, err := f.archives.Exists(f.ctx, key)
			f.must(err)
			named := slices.ContainsFunc(r.Deleting, func(g catalog.GoingArchive) bool { return g.ObjectKey == key })
			if there == named {
				t.Errorf("round %d: %s is there: %t, told to be going: %t", round, key, there, named)
			}
			if there {
				spared++
			} else {
				told++
			}
		}
	}
	t.Logf("%d archives were held, %d were told to be going", spared, told)
}

// served builds the first hours of a day, each with a recording, and gives their archives' keys.
func (f *archived) served(d domain.Day, name string, hours int) (keys []string) {
	var recs []domain.Recording
	for hour := range hours {
		rec := f.recording(fmt.Sprintf("c-%s-%d", name, hour))
		rec.Timestamp = d.Start().Add(time.Duration(hour) * time.Hour)
		f.platformPut(rec.ObjectKey, "audio")
		recs = append(recs, rec)
	}
	f.must(f.take(catalog.Batch{Recordings: lines(recs...)}))
	f.pass(d.End().Add(2 * time.Hour).Sub(f.clock))
	for hour := range hours {
		f.build(d, hour)
	}
	v, err := f.c.Day(f.ctx, tenant, d)
	f.must(err)
	for hour := range hours {
		keys = append(keys, v.Hours[hour].Archive.ObjectKey)
	}
	return keys
}
