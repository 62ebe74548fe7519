package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/worker/patrol"
)

// failing makes the store fail for one object.
func failing(key *string) func(string, int) error {
	return func(k string, _ int) error {
		if k == *key {
			return domain.Errorf(domain.KindUnavailable, "read quorum")
		}
		return nil
	}
}

// One recording that the store does not give, while it gives others, is a fault. The round goes on.
func TestPatrolOfOneThatFails(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		keys := []string{f.add(hour(1), 100), f.add(hour(1), 100), f.add(hour(1), 100)}
		recordings := &readBucket{Bucket: f.store.Recordings(), fail: failing(&keys[1])}
		p := f.patrol(patrol.Config{Every: time.Hour, Retry: time.Millisecond}, recordings)
		f.expect("a whole round", f.step(p, catalog.PatrolRecordings), true)
		f.expect("faults", f.faults(), []string{"unreadable " + keys[1]})
		rounds, err := f.catalog.PatrolRounds(f.ctx)
		f.must(err)
		f.expect("objects", rounds[0].Objects, 3)
	})
}

// A failure that ends while it is looked at again is none.
func TestPatrolTriesAgain(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		f.add(hour(1), 100)
		f.add(hour(1), 100)
		recordings := &readBucket{Bucket: f.store.Recordings(), fail: func(_ string, n int) error {
			if n == 1 {
				return domain.Errorf(domain.KindUnavailable, "it broke off")
			}
			return nil
		}}
		p := f.patrol(patrol.Config{Every: time.Hour, Retry: time.Millisecond}, recordings)
		f.expect("a whole round", f.step(p, catalog.PatrolRecordings), true)
		f.expect("faults", len(f.faults()), 0)
	})
}

// An archive that the store does not give while it gives others, is built again.
func TestPatrolOfOneArchiveThatFails(t *testing.T) {
	for name, failure := range map[string]error{
		"fails":        domain.Errorf(domain.KindUnavailable, "read quorum"),
		"wrong answer": domain.Errorf(domain.KindStoreFault, "another range"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.add(hour(0), 1000)
			f.add(hour(1), 1000)
			f.plan()
			for n := range 2 {
				f.dispatched(hour(n))
				f.must(f.builder(config()).BuildHour(f.ctx, task(n)))
			}
			bad := f.view(0).Archive.ObjectKey
			archives := &readBucket{Bucket: f.store.Archives(), fail: func(key string, _ int) error {
				if key == bad {
					return failure
				}
				return nil
			}}
			p := patrol.New(patrol.Config{Every: time.Hour, Retry: time.Millisecond}, f.catalog, f.store.Recordings(), archives, time.Now, f.log)
			f.expect("a whole round", f.step(p, catalog.PatrolArchives), true)
			f.expect("states", fmt.Sprintln(f.view(0).State, f.view(1).State), "pending available\n")
			f.must(f.builder(config()).BuildHour(f.ctx, task(0)))
			f.expect("served again", fmt.Sprintln(f.view(0).State, f.view(0).Archive.MissingCount), "available 0\n")
		})
	}
}
