package worker_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/worker/patrol"
)

// readBucket notes the objects that are opened, and can fail.
type readBucket struct {
	*objstore.Bucket
	mu     sync.Mutex
	opened []string
	fail   func(key string, n int) error // n objects were opened before
}

func (b *readBucket) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	b.mu.Lock()
	n := len(b.opened)
	b.opened = append(b.opened, key)
	b.mu.Unlock()
	if b.fail != nil {
		if err := b.fail(key, n); err != nil {
			return nil, err
		}
	}
	return b.Bucket.Get(ctx, key, opts)
}

// patrol makes a patrol whose clock is two days after the night.
func (f *fixture) patrol(cfg patrol.Config, recordings *readBucket) *patrol.Patrol {
	now := func() time.Time { return time.Now().Add(time.Until(night()) + 48*time.Hour) }
	return patrol.New(cfg, f.catalog, recordings, f.store.Archives(), now, f.log)
}

// step reads under one claim, and gives whether the round has ended.
func (f *fixture) step(p *patrol.Patrol, kind string) bool {
	f.Helper()
	more, err := p.Step(f.ctx, kind)
	f.must(err)
	return !more
}

// nextRound moves the clock to when the next round begins.
func (f *fixture) nextRound(rounds int) {
	f.Helper()
	f.at(night().Add(time.Duration(rounds) * 61 * time.Minute))
}

// faults names the known faults.
func (f *fixture) faults() (list []string) {
	f.Helper()
	known, err := f.catalog.Faults(f.ctx, catalog.Fault{}, 100)
	f.must(err)
	for _, k := range known {
		list = append(list, k.Reason+" "+k.ObjectKey)
	}
	slices.Sort(list)
	return list
}

func (f *fixture) expect(what string, got, want any) {
	f.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// patrolLines gives the actions of the patrol's audit lines.
func (f *fixture) patrolLines() (list []string) {
	f.Helper()
	rows, err := f.catalog.DB().QueryContext(f.ctx, `SELECT action FROM audit WHERE action LIKE 'patrol.%' ORDER BY seq`)
	f.must(err)
	defer rows.Close()
	for rows.Next() {
		var action string
		f.must(rows.Scan(&action))
		list = append(list, action)
	}
	f.must(rows.Err())
	return list
}

func onBothCatalogs(t *testing.T, test func(f *fixture)) {
	t.Run("sqlite", func(t *testing.T) { test(newFixture(t)) })
	t.Run("postgres", func(t *testing.T) { test(newPostgresFixture(t)) })
}

// The patrol learns sums, and names what was changed, removed, or can't be read, until it is right
// again or corrected.
func TestPatrolOfRecordings(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		var keys []string
		for i := range 6 {
			keys = append(keys, f.add(hour(i%2), 3000+i))
		}
		recordings := &readBucket{Bucket: f.store.Recordings()}
		p := f.patrol(patrol.Config{Every: time.Hour, Recheck: time.Minute}, recordings)
		f.expect("a whole round", f.step(p, catalog.PatrolRecordings), true)
		f.expect("before the next one", f.step(p, catalog.PatrolRecordings), true)
		f.expect("reads", len(recordings.opened), 6)
		origin, etag := f.custody(keys[0], audio(1, 3000))
		f.expect("learnt", origin, domain.SumPatrol)
		f.expect("with its ETag", etag != "", true)

		flipped := audio(1, 3000)
		flipped[700] ^= 4
		_, err := f.store.Recordings().Put(f.ctx, keys[0], flipped, objstore.PutOptions{})
		f.must(err)
		_, err = f.store.Recordings().Put(f.ctx, keys[1], audio(2, 2000), objstore.PutOptions{})
		f.must(err)
		f.must(f.store.Recordings().Remove(f.ctx, keys[2]))
		recordings.fail = func(key string, _ int) error {
			if key == keys[3] {
				return domain.Errorf(domain.KindUnreadable, "cold")
			}
			return nil
		}
		f.nextRound(1)
		f.expect("the second round", f.step(p, catalog.PatrolRecordings), true)
		f.expect("faults", f.faults(), []string{"checksum_mismatch " + keys[0], "not_found " + keys[2], "size_changed " + keys[1], "unreadable " + keys[3]})
		f.nextRound(2)
		f.expect("the third round", f.step(p, catalog.PatrolRecordings), true)
		f.expect("lines, each once", f.patrolLines(), slices.Repeat([]string{catalog.ActionPatrolFault}, 4))
		b, err := f.catalog.Backlog(f.ctx)
		f.must(err)
		f.expect("backlog", b.Faults, 4)

		recordings.fail = nil
		f.put(keys[2], audio(3, 3002))
		size := int64(2000)
		_, err = f.catalog.Correct(f.ctx, catalog.Correction{Tenant: tenant, ObjectKey: keys[1], Reason: "r", Size: &size, SHA256: new(domain.SHA256(sha256.Sum256(audio(2, 2000)))), Origin: audit.Origin{Actor: "admin"}})
		f.must(err)
		f.must(second(p.Step(f.ctx, catalog.PatrolFaults)))
		f.expect("what was corrected is looked at at once", f.faults(), []string{"checksum_mismatch " + keys[0], "not_found " + keys[2], "unreadable " + keys[3]})
		f.at(night().Add(2*61*time.Minute + 2*time.Minute))
		f.must(second(p.Step(f.ctx, catalog.PatrolFaults)))
		f.expect("what came back too, later", f.faults(), []string{"checksum_mismatch " + keys[0]})
	})
}

// What was there and is gone is a fault at once. The audio of a new recording may still come.
func TestPatrolOfNewRecordings(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		f.recording(hour(0), nil)
		gone := f.add(hour(0), 3000)
		now := func() time.Time { return time.Now().Add(time.Until(night())) }
		p := patrol.New(patrol.Config{Every: time.Hour}, f.catalog, f.store.Recordings(), f.store.Archives(), now, f.log)
		f.step(p, catalog.PatrolRecordings)
		f.must(f.store.Recordings().Remove(f.ctx, gone))
		f.nextRound(1)
		f.step(p, catalog.PatrolRecordings)
		f.expect("faults", f.faults(), []string{"not_found " + gone})
	})
}

func second[T any](_ T, err error) error { return err }

// An outage is no fault: the round waits and goes on where it was.
func TestPatrolOutage(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		for range 5 {
			f.add(hour(1), 100)
		}
		outage := domain.Errorf(domain.KindUnavailable, "the store is away")
		down := true
		recordings := &readBucket{Bucket: f.store.Recordings(), fail: func(_ string, n int) error {
			if down && n >= 2 {
				return outage
			}
			return nil
		}}
		p := f.patrol(patrol.Config{}, recordings)
		_, err := p.Step(f.ctx, catalog.PatrolRecordings)
		f.expectKind(err, domain.KindUnavailable)
		f.expect("faults", len(f.faults()), 0)
		down, recordings.opened = false, nil
		f.expect("the rest", f.step(p, catalog.PatrolRecordings), true)
		f.expect("reads", len(recordings.opened), 3)
	})
}

// Two workers share a round. One that is killed loses only what it had not saved.
func TestPatrolIsShared(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		const files = 40
		for range files {
			f.add(hour(1), 100)
		}
		recordings := &readBucket{Bucket: f.store.Recordings()}
		killed, kill := context.WithCancel(f.ctx)
		recordings.fail = func(_ string, n int) error {
			if n == 7 {
				kill()
				return context.Canceled
			}
			return nil
		}
		cfg := patrol.Config{Batch: 4}
		first := f.patrol(cfg, recordings)
		for killed.Err() == nil {
			_, err := first.Step(killed, catalog.PatrolRecordings)
			if err != nil && killed.Err() == nil {
				f.Fatal(err)
			}
		}
		var workers sync.WaitGroup
		for range 2 {
			p := f.patrol(cfg, recordings)
			workers.Go(func() {
				for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
					backlog, err := f.catalog.Backlog(f.ctx)
					if err != nil || len(backlog.Patrols) == 1 && !backlog.Patrols[0].Running {
						return
					}
					if _, err := p.Step(f.ctx, catalog.PatrolRecordings); err != nil && !errors.Is(err, domain.ErrLost) {
						f.Error(err)
					}
				}
			})
		}
		workers.Wait()
		backlog, err := f.catalog.Backlog(f.ctx)
		f.must(err)
		f.expect("round", fmt.Sprint(len(backlog.Patrols), backlog.Patrols[0].Running, backlog.Patrols[0].Objects, backlog.Patrols[0].Bytes), fmt.Sprint(1, false, files, files*100))
		slices.Sort(recordings.opened)
		f.expect("each was read", len(slices.Compact(slices.Clone(recordings.opened))), files)
		f.expect("one of them again", len(recordings.opened), files+1)
	})
}

// An archive that broke is not served any more, and its hour is built again. Its bytes stay until
// the day's end.
func TestPatrolOfArchives(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		kept := f.add(hour(0), 1<<20)
		for n := range 3 {
			f.add(hour(n), 2<<20)
		}
		f.plan()
		for n := range 3 {
			f.dispatched(hour(n))
			f.must(f.builder(config()).BuildHour(f.ctx, task(n)))
		}
		broken := 0
		p := f.patrol(patrol.Config{Every: time.Hour, Rate: 1 << 30, OnBroken: func() { broken++ }}, &readBucket{Bucket: f.store.Recordings()})
		f.expect("a whole round", f.step(p, catalog.PatrolArchives), true)
		f.expect("broken", broken, 0)
		flipped, gone := f.view(0).Archive.ObjectKey, f.view(1).Archive.ObjectKey
		o, err := f.store.Archives().Get(f.ctx, flipped, objstore.GetOptions{})
		f.must(err)
		data, err := io.ReadAll(o.Body)
		f.must(errors.Join(err, o.Body.Close()))
		data[2<<20] ^= 1
		f.must(f.store.Archives().Remove(f.ctx, flipped))
		_, err = f.store.Archives().Put(f.ctx, flipped, data, objstore.PutOptions{})
		f.must(err)
		f.must(f.store.Archives().Remove(f.ctx, gone))
		f.nextRound(1)
		f.expect("the second round", f.step(p, catalog.PatrolArchives), true)
		f.expect("states", fmt.Sprintln(f.view(0).State, f.view(1).State, f.view(2).State), "pending pending available\n")
		f.expect("broken", broken, 2)
		f.expect("lines", f.patrolLines(), slices.Repeat([]string{catalog.ActionPatrolRebuild}, 2))
		f.expect("the hour is due", f.waits(hour(0)), true)
		f.must(second(f.sweeper().Sweep(f.ctx)))
		f.expect("the broken bytes stay", f.exists(f.store.Archives(), flipped), true)

		// The source of the broken archive's first recording is gone too; its bytes there are
		// right.
		f.must(f.store.Recordings().Remove(f.ctx, kept))
		f.must(f.builder(config()).BuildHour(f.ctx, task(0)))
		f.expect("served again, with what only the broken one had", fmt.Sprintln(f.view(0).State, f.view(0).Archive.Files, f.view(0).Archive.MissingCount), "available 2 0\n")
	})
}
