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
		suspect, err := f.catalog.SuspectArchives(f.ctx, 10)
		f.must(err)
		f.expect("suspect", len(suspect), 0)
	})
}
