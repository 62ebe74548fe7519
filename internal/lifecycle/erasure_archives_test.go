package lifecycle_test

import (
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// A former archive whose deletion has begun waits for the end of its lock. An erasure deletes it at
// once in governance mode.
func TestErasureOfADeletingArchive(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	cfg.Lock = objstore.Governance
	e := newErasing(t, catalogtest.OpenWith(t, catalogtest.Postgres(t), catalog.Rules{LockArchives: true}), cfg)
	e.archivedTwo()
	former := e.view(1).Archive.ObjectKey
	_, err := e.c.Rebuild(e.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 1, Force: true})
	e.must(err)
	e.plan()
	_, err = e.c.DB().ExecContext(e.ctx, `UPDATE archives SET state = 'deleting', cause = 'superseded', delete_after_us = locked_until_us WHERE object_key = $1`, former)
	e.must(err)
	x, err := e.ask("r", "gone")
	e.must(err)
	if x = e.finish(x.ID); x.LockedUntil != nil {
		t.Errorf("it is locked until %v", x.LockedUntil)
	}
	if there, err := e.archives.Exists(e.ctx, former); err != nil || there {
		t.Errorf("the former archive is there: %v, %v", there, err)
	}
}

// The patrol found an archive broken, and the source of a neighbour's audio is gone too. An erasure
// leaves what the broken archive has of the neighbour to the next revision.
func TestErasureBesideABrokenArchive(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		_, stays := e.archivedTwo()
		before := e.files(1)
		a := e.view(1).Archive
		broken := catalog.PatrolArchive{ServedArchive: catalog.ServedArchive{HourKey: domain.HourKey{Tenant: tenant, Day: day, Hour: 1}, ObjectKey: a.ObjectKey}}
		if due, err := e.c.BrokenArchive(e.ctx, broken, catalog.ReasonChecksum, ""); err != nil || !due {
			e.Fatalf("the hour is due: %v, %v", due, err)
		}
		e.must(e.bucket.Remove(e.ctx, stays.ObjectKey))
		x, err := e.ask("r", "gone")
		e.must(err)
		e.finish(x.ID)
		if after := e.files(1); len(before) != 2 || len(after) != 1 {
			e.Errorf("of %v there is %v, want the recording of the other conversation", before, after)
		}
		if there, err := e.archives.Exists(e.ctx, a.ObjectKey); err != nil || there {
			e.Errorf("the broken archive is there: %v, %v", there, err)
		}
	})
}

// A recording was corrected into another conversation. The erasure of the former one also ends what
// the correction remembers of it, and the former archive.
func TestErasureAfterACorrection(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		moved, _ := e.archivedTwo()
		former, id := e.view(1).Archive.ObjectKey, "stays"
		_, err := e.c.Correct(e.ctx, catalog.Correction{Tenant: tenant, ObjectKey: moved.ObjectKey, Reason: "r", ConversationID: &id})
		e.must(err)
		e.plan()
		x, err := e.ask("r", "gone")
		e.must(err)
		e.finish(x.ID)
		if n := e.rows("corrected_recordings"); n != 0 {
			e.Errorf("%d corrections are left", n)
		}
		if there, err := e.archives.Exists(e.ctx, former); err != nil || there {
			e.Errorf("the former archive is there: %v, %v", there, err)
		}
		if n := len(e.files(1)); n != 2 {
			e.Errorf("%d recordings are left", n)
		}
	})
}
