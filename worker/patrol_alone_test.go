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
		backlog, err := f.catalog.Backlog(f.ctx)
		f.must(err)
		f.expect("objects", backlog.Patrols[0].Objects, 3)
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
			bad := f.built()
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

// Faults are looked at again by one worker at a time. One that fails with an outage does not stop
// the others, nor the round.
func TestPatrolRechecksUnderAClaim(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		keys := []string{f.add(hour(1), 100), f.add(hour(1), 100)}
		for _, key := range keys {
			f.must(f.store.Recordings().Remove(f.ctx, key))
		}
		p := f.patrol(patrol.Config{Every: time.Hour, Recheck: time.Minute}, &readBucket{Bucket: f.store.Recordings()})
		f.expect("a whole round", f.step(p, catalog.PatrolRecordings), true)
		f.expect("faults", len(f.faults()), 2)
		for i, key := range keys {
			f.put(key, audio(int64(i+1), 100))
		}
		f.nextRound(1)
		_, ok, err := f.catalog.ClaimPatrol(f.ctx, catalog.PatrolFaults, 0, time.Minute)
		f.must(err)
		f.expect("claimed by another worker", ok, true)
		f.must(second(p.Step(f.ctx, catalog.PatrolFaults)))
		f.expect("faults, while another one looks", len(f.faults()), 2)

		f.nextRound(2)
		down := &readBucket{Bucket: f.store.Recordings(), fail: func(key string, _ int) error {
			if key == keys[0] {
				return domain.Errorf(domain.KindUnavailable, "away")
			}
			return nil
		}}
		failing := f.patrol(patrol.Config{Every: time.Hour, Recheck: time.Minute}, down)
		_, _ = failing.Step(f.ctx, catalog.PatrolFaults)
		f.expect("the other one", f.faults(), []string{"unreadable " + keys[0]})
		f.expect("the round goes on", f.step(f.patrol(patrol.Config{Every: time.Hour}, &readBucket{Bucket: f.store.Recordings()}), catalog.PatrolRecordings), true)
		f.expect("faults", len(f.faults()), 0)
	})
}
