package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/worker/patrol"
)

// built builds hours 0 and 1, and gives the key of the first archive.
func (f *fixture) built() (key string) {
	f.Helper()
	f.add(hour(0), 1000)
	f.add(hour(1), 1000)
	f.plan()
	for n := range 2 {
		f.dispatched(hour(n))
		f.must(f.builder(config()).BuildHour(f.ctx, task(n)))
	}
	return f.view(0).Archive.ObjectKey
}

// overwrite changes an archive's bytes, as somebody who writes into the bucket would.
func (f *fixture) overwrite(key string, change func([]byte) []byte) {
	f.Helper()
	o, err := f.store.Archives().Get(f.ctx, key, objstore.GetOptions{})
	f.must(err)
	data, err := io.ReadAll(o.Body)
	f.must(errors.Join(err, o.Body.Close()))
	f.must(f.store.Archives().Remove(f.ctx, key))
	_, err = f.store.Archives().Put(f.ctx, key, change(data), objstore.PutOptions{})
	f.must(err)
}

func flipped(data []byte) []byte {
	data[len(data)/3] ^= 1
	return data
}

// checkedLate makes the sweeper look all archives up.
func (f *fixture) checkedLate() {
	f.Helper()
	_, err := f.catalog.DB().ExecContext(f.ctx, `UPDATE archives SET checked_us = 0`)
	f.must(err)
	f.sweep()
}

// otherETag is a bucket whose objects have other ETags than were written, as after a mirror.
type otherETag struct{ patrol.Bucket }

func (b otherETag) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	opts.IfMatch = ""
	o, err := b.Bucket.Get(ctx, key, opts)
	if err == nil {
		o.ETag = "other"
	}
	return o, err
}

// An archive that was overwritten with as many bytes is read before its turn, and built again.
func TestPatrolOfSuspectArchive(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		key := f.built()
		p := f.patrol(patrol.Config{Every: time.Hour}, &readBucket{Bucket: f.store.Recordings()})
		f.overwrite(key, flipped)
		f.checkedLate()
		f.expect("no verdict yet", f.view(0).State, "available")
		f.must(second(p.Step(f.ctx, catalog.PatrolFaults)))
		f.expect("states", fmt.Sprintln(f.view(0).State, f.view(1).State), "pending available\n")
	})
}

// An archive with another ETag and the right bytes stays, and is suspect no more.
func TestPatrolOfMirroredArchive(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		key := f.built()
		_, err := f.catalog.SuspectArchive(f.ctx, key)
		f.must(err)
		p := patrol.New(patrol.Config{Every: time.Hour}, f.catalog, f.store.Recordings(), otherETag{f.store.Archives()}, time.Now, f.log)
		f.must(second(p.Step(f.ctx, catalog.PatrolFaults)))
		f.expect("state", f.view(0).State, "available")
		f.expect("ETag", f.view(0).Archive.ETag, "other")
		suspect, err := f.catalog.SuspectArchives(f.ctx, time.Hour, 10)
		f.must(err)
		f.expect("suspect", len(suspect), 0)
	})
}

// A bucket that was restored or mirrored has other versions. Its archives stay, and are learnt.
func TestSweepOfOtherVersions(t *testing.T) {
	for name, version := range map[string]string{"unknown": "4d7e1f6a-1c1b-4a3c-9a53-0f6f6c1f0a11", "of another store": "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			key := f.built()
			f.must(f.catalog.SaveVersion(f.ctx, key, version))
			f.checkedLate()
			f.expect("state", f.view(0).State, "available")
			f.expect("there", f.exists(f.store.Archives(), key), true)
			list, err := f.catalog.PatrolledArchives(f.ctx, "", 10)
			f.must(err)
			f.expect("archives", len(list), 2)
			for _, a := range list {
				f.expect("version", a.VersionID, "")
			}
		})
	}
}

// An archive whose object has another size is broken: its bytes stay until the day's end, and the
// audit log has a line.
func TestSweepOfOtherSize(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		key := f.built()
		f.overwrite(key, func(data []byte) []byte { return data[:len(data)-10] })
		f.checkedLate()
		f.expect("state", f.view(0).State, "pending")
		f.sweep()
		f.expect("its bytes stay", f.exists(f.store.Archives(), key), true)
		f.expect("lines", f.patrolLines(), []string{catalog.ActionPatrolRebuild})
	})
}

// An archive that only a hold keeps and that breaks is a fault, until it is right again.
func TestPatrolOfRetainedArchive(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) { f.heldBreaks("retained") })
}

// The same of a former revision of a day that has not ended.
func TestPatrolOfHeldRevision(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) { f.heldBreaks("superseded") })
}

func (f *fixture) heldBreaks(state string) {
	f.Helper()
	key := f.built()
	_, err := f.catalog.DB().ExecContext(f.ctx, `UPDATE hours SET state = 'expired', archive = NULL WHERE archive = $1`, key)
	f.must(err)
	_, err = f.catalog.DB().ExecContext(f.ctx, `UPDATE archives SET state = $2, delete_after_us = NULL WHERE object_key = $1`, key, state)
	f.must(err)
	f.overwrite(key, flipped)
	p := f.patrol(patrol.Config{Every: time.Hour}, &readBucket{Bucket: f.store.Recordings()})
	f.expect("a whole round", f.step(p, catalog.PatrolArchives), true)
	f.expect("faults", f.faults(), []string{"checksum_mismatch " + key})
	f.expect("lines", f.patrolLines(), []string{catalog.ActionPatrolFault})
	f.overwrite(key, flipped)
	f.nextRound(1)
	f.expect("the next round", f.step(p, catalog.PatrolArchives), true)
	f.expect("faults", len(f.faults()), 0)
}

// A patrol that is switched off leaves no round that is late, and faults end all the same.
func TestPatrolOff(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		keys := []string{f.add(hour(1), 100), f.add(hour(1), 100)}
		f.must(f.store.Recordings().Remove(f.ctx, keys[0]))
		recordings := &readBucket{Bucket: f.store.Recordings()}
		f.expect("a turn of one object", f.step(f.patrol(patrol.Config{Every: time.Hour, Batch: 1}, recordings), catalog.PatrolRecordings), false)
		f.expect("faults", len(f.faults()), 1)
		f.put(keys[0], audio(1, 100))
		f.nextRound(1)
		f.must(second(f.patrol(patrol.Config{Off: true, Recheck: time.Minute}, recordings).Step(f.ctx, catalog.PatrolFaults)))
		f.expect("faults", len(f.faults()), 0)
		backlog, err := f.catalog.Backlog(f.ctx)
		f.must(err)
		f.expect("running", backlog.Patrols[0].Running, false)
	})
}

// A recording that was left out because its bytes were wrong is archived when they are right again.
func TestPatrolMends(t *testing.T) {
	onBothCatalogs(t, func(f *fixture) {
		f.add(hour(1), 100)
		key := f.add(hour(1), 100)
		p := f.patrol(patrol.Config{Every: time.Hour, Recheck: time.Minute}, &readBucket{Bucket: f.store.Recordings()})
		f.expect("a whole round, which learns sums", f.step(p, catalog.PatrolRecordings), true)
		wrong := audio(2, 100)
		wrong[50] ^= 1
		_, err := f.store.Recordings().Put(f.ctx, key, wrong, objstore.PutOptions{})
		f.must(err)
		f.plan()
		f.dispatched(hour(1))
		f.must(f.builder(config()).BuildHour(f.ctx, task(1)))
		f.expect("missing", f.view(1).Archive.MissingCount, 1)
		f.nextRound(1)
		f.expect("the next round", f.step(p, catalog.PatrolRecordings), true)
		f.expect("faults", len(f.faults()), 1)
		_, err = f.store.Recordings().Put(f.ctx, key, audio(2, 100), objstore.PutOptions{})
		f.must(err)
		f.at(night().Add(70 * time.Minute))
		f.must(second(p.Step(f.ctx, catalog.PatrolFaults)))
		f.expect("faults", len(f.faults()), 0)
		f.at(night().Add(12 * time.Hour))
		f.expect("the hour is due", f.waits(hour(1)), true)
		f.must(f.builder(config()).BuildHour(f.ctx, task(1)))
		f.expect("missing", f.view(1).Archive.MissingCount, 0)
	})
}
