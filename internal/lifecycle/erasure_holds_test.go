package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
)

// erasing gives the fixture an eraser.
func (f *archived) erasing() *erasing {
	f.Helper()
	f.addErasureKey()
	return &erasing{fixture: f.fixture, archives: f.archives, build: f.builder, sweeper: f.sweeper(f.c),
		eraser: lifecycle.NewEraser(f.c, f.bucket, f.archives, keyPrefix, time.Now, zaptest.NewLogger(f))}
}

// erase erases each conversation that no hold keeps.
func (f *archived) erase() {
	f.Helper()
	e := f.erasing()
	for _, id := range []string{"c-held", "c-other"} {
		if _, err := e.ask("r", id); domain.KindOf(err) != domain.KindConflict { // a hold covers it
			f.must(err)
		}
	}
	for range 3 {
		e.step()
	}
}

func holdNeighbour(o *holds.Order) { o.Conversations = []string{"c-held"} }

// heldAlone fails unless one archive has c-held's recording, and none c-other's.
func (f *archived) heldAlone() {
	f.Helper()
	if f.archivesWith("audio of c-held") != 1 || f.archivesWith("audio of c-other") != 0 {
		f.Error("the archives have not the held recording alone")
	}
}

// A hold on another conversation protects the only archive that has its audio: nothing could be
// built in its place. The order is refused whole.
func TestErasureIsRefusedForANeighbour(t *testing.T) {
	for name, prepare := range map[string]func(f *archived){
		"the archive of an ended day": func(f *archived) {
			f.pass(72 * time.Hour)
			f.endDay()
		},
		"a superseded revision": func(f *archived) {
			f.must(f.bucket.Remove(f.ctx, f.held.ObjectKey))
			f.rebuild()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newArchived(t)
			e := f.erasing()
			f.hold("matter-7", holdNeighbour)
			prepare(f)
			_, err := e.eraser.Preview(f.ctx, lifecycle.ErasureRequest{Tenant: tenant, Conversations: []string{"c-other"}})
			if e.wantKind(err, domain.KindConflict); !strings.Contains(err.Error(), "matter-7") {
				t.Errorf("a preview is refused with %v", err)
			}
			_, err = e.ask("r", "c-other")
			e.wantKind(err, domain.KindConflict)
			if e.rows("erasures") != 0 || e.rows("conversations") != 2 {
				t.Error("a refused order changed something")
			}
			e.step()
			if f.archivesWith("audio of c-held") != 1 {
				t.Error("the archive that the hold protects is gone")
			}
		})
	}
}

// The audio of a held neighbour that was lost meanwhile is taken over from the former archive,
// which may go then.
func TestErasureTakesOverAHeldNeighbour(t *testing.T) {
	f := newArchived(t)
	e := f.erasing()
	f.hold("matter-7", holdNeighbour)
	f.must(f.bucket.Remove(f.ctx, f.held.ObjectKey))
	x, err := e.ask("r", "c-other")
	e.must(err)
	e.finish(x.ID)
	f.heldAlone()
}

// A hidden archive and the next revision lack the same recording for different reasons. The hidden
// one does not wait for the release of a hold on a neighbour.
func TestErasureBesideAMissingNeighbour(t *testing.T) {
	f := newArchived(t)
	e := f.erasing()
	f.hold("matter-7", holdNeighbour)
	x, err := e.ask("r", "c-other")
	e.must(err)
	absent := f.recording("c-absent")
	f.must(f.take(catalog.Batch{Recordings: lines(absent)}))
	_, err = f.c.DB().ExecContext(f.ctx, `UPDATE archives SET missing_count = 1, missing = $1 WHERE state = 'hidden'`,
		`[{"objectKey":"`+absent.ObjectKey+`","messageId":1,"reason":"size_changed"}]`)
	e.must(err)
	e.finish(x.ID)
	f.heldAlone()
}

// A recording that moved to another hour stands in the former revision of its first one. A hold on
// a neighbour there does not protect that revision, because the newer one has the neighbour.
func TestErasureOfAMovedRecording(t *testing.T) {
	f := newArchived(t)
	e := f.erasing()
	f.hold("matter-7", holdNeighbour)
	later := f.other.Timestamp.Add(time.Hour)
	_, err := f.c.Correct(f.ctx, catalog.Correction{Tenant: tenant, ObjectKey: f.other.ObjectKey, Reason: "r", Timestamp: &later})
	e.must(err)
	f.build(day, 1)
	f.build(day, 2)
	x, err := e.ask("r", "c-other")
	e.must(err)
	e.finish(x.ID)
	f.heldAlone()
}

// A hold that comes after the order, and the end of its day before the hour is built again, can
// leave a hidden archive as the only one that has a held neighbour. It stays hidden until the
// release.
func TestErasureWaitsForAHeldNeighbour(t *testing.T) {
	f := newArchived(t)
	e := f.erasing()
	key := f.keys()[0]
	x, err := e.ask("r", "c-other")
	e.must(err)
	f.hold("matter-7", holdNeighbour)
	f.pass(72 * time.Hour)
	f.endDay()
	for range 3 {
		e.step()
		f.pass(25 * time.Hour)
	}
	if there, err := f.archives.Exists(f.ctx, key); err != nil || !there {
		t.Fatalf("the only archive of a held recording is there: %v, %v", there, err)
	}
	x, err = e.eraser.Status(f.ctx, tenant, x.ID)
	if e.must(err); x.WaitsForHold != "matter-7" || x.Proven != nil || x.Hidden == nil {
		t.Errorf("it is %+v", x)
	}
	_, err = f.c.ReleaseHold(f.ctx, tenant, "matter-7", "r", audit.Origin{Actor: "admin"})
	e.must(err)
	f.pass(25 * time.Hour)
	if x = e.finish(x.ID); x.WaitsForHold != "" {
		t.Errorf("a proven erasure waits for %q", x.WaitsForHold)
	}
	if there, err := f.archives.Exists(f.ctx, key); err != nil || there {
		t.Errorf("after the release the archive is there: %v, %v", there, err)
	}
}

// A hold that came after the order, and before it was hidden, protects a neighbour's only archive
// too.
func TestErasureIsNotHiddenForANeighbour(t *testing.T) {
	f := newArchived(t)
	e := f.erasing()
	stopped, stop := context.WithCancel(f.ctx)
	e.eraser = lifecycle.NewEraser(f.c, f.bucket, orderThen{f.archives, stop}, keyPrefix, time.Now, zaptest.NewLogger(f))
	x, err := e.eraser.Ask(stopped, lifecycle.ErasureRequest{Tenant: tenant, Conversations: []string{"c-other"}, Reason: "r"})
	e.must(err)
	f.hold("matter-7", holdNeighbour)
	f.pass(72 * time.Hour)
	f.endDay()
	e.step()
	x, err = e.eraser.Status(f.ctx, tenant, x.ID)
	if e.must(err); x.WaitsForHold != "matter-7" || x.Hidden != nil {
		t.Errorf("it is %+v", x)
	}
	if f.archivesWith("audio of c-held") != 1 {
		t.Error("the archive that the hold protects is gone")
	}
}

// orderThen is a bucket that calls a function after it has stored an order.
type orderThen struct {
	lifecycle.ErasureStore
	then func()
}

func (b orderThen) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (string, error) {
	defer b.then()
	return b.ErasureStore.Put(ctx, key, data, opts)
}
