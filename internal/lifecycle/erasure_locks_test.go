package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// A lock of the store is no obstacle in governance mode. In compliance mode the copy is hidden, and
// the proof names the lock's end.
func TestErasureUnderALock(t *testing.T) {
	for _, mode := range []objstore.LockMode{objstore.Governance, objstore.Compliance} {
		t.Run(mode.String(), func(t *testing.T) {
			cfg := objstoretest.MinIO(t)
			cfg.Lock = mode
			c := catalogtest.OpenWith(t, catalogtest.Postgres(t), catalog.Rules{LockArchives: true})
			e := newErasing(t, c, cfg)
			e.archivedTwo()
			stray := domain.HourKey{Tenant: tenant, Day: day, Hour: 1}.ArchiveKey(keyPrefix, 9, "stray") // without a row, as after a restore
			_, err := e.archives.Put(e.ctx, stray, []byte("a former archive"), objstore.PutOptions{Lock: objstore.NewLock(mode, time.Now().Add(time.Hour))})
			e.must(err)
			keys := []string{e.view(1).Archive.ObjectKey, stray}
			x, err := e.ask("r", "gone")
			e.must(err)
			x = e.finish(x.ID)
			for _, key := range keys {
				there, err := e.archives.Exists(e.ctx, key)
				e.must(err)
				if locked := mode == objstore.Compliance; there != locked || (x.LockedUntil != nil) != locked || (len(x.Proof.Locked) == 2) != locked || (x.Gone == nil) != locked {
					t.Errorf("%s is there: %v, locked until %v, proof %+v", key, there, x.LockedUntil, x.Proof)
				}
			}
			if mode == objstore.Compliance {
				e.endLocks(x, func() {
					e.must(e.c.Deleted(e.ctx, keys[0]))
					e.eraser = lifecycle.NewEraser(e.c, e.bucket, goneArchives{e.archives}, keyPrefix, time.Now, zaptest.NewLogger(t))
				})
			}
		})
	}
}

// goneArchives is a bucket whose locks have ended.
type goneArchives struct{ lifecycle.ErasureStore }

func (goneArchives) Erase(context.Context, string) error { return nil }

// endLocks ends the locks of what a proven erasure has left, and checks its whole proof.
func (e *erasing) endLocks(x lifecycle.Erasure, remove func()) {
	e.Helper()
	before := *x.Proof
	e.at(x.LockedUntil.Add(2 * time.Hour))
	e.must(e.eraser.Step(e.ctx))
	same, err := e.eraser.Status(e.ctx, tenant, x.ID)
	if e.must(err); same.LockedUntil == nil || same.Gone != nil || len(same.Proof.Locked) != len(before.Locked) {
		e.Errorf("before the locked copies went it is %+v", same)
	}
	remove()
	e.must(e.eraser.Step(e.ctx))
	x, err = e.eraser.Status(e.ctx, tenant, x.ID)
	e.must(err)
	p, copies := x.Proof, before.Recordings.Deleted+before.Archives.Deleted+len(before.Locked)
	if x.LockedUntil != nil || x.Gone == nil || len(p.Locked) != 0 || p.Recordings.Deleted+p.Archives.Deleted != copies || len(p.Archives.SHA256) != min(p.Archives.Deleted, 1) ||
		p.Recordings.Bytes == 0 {
		e.Errorf("it is %+v, with the proof %+v", x, p)
	}
	if d := e.lastDetail(lifecycle.ActionErasureGone); d["erasure"] != x.ID {
		e.Errorf("the audit log tells %v of the last copies", d)
	}
}

// goneSources is a bucket of which all objects are gone.
type goneSources struct{ lifecycle.Sources }

func (goneSources) RemoveMatch(context.Context, string, objstore.Match) error { return nil }

// The bucket of recordings may have locks too. The proof names their ends, and nothing is refused.
func TestErasureOfLockedAudio(t *testing.T) {
	cfg := objstoretest.LockedMinIO(t)
	e := newErasing(t, catalogtest.OpenWith(t, catalogtest.Postgres(t), catalog.Rules{}), cfg)
	locked := objstoretest.Open(t, cfg).Archives()
	refused := func() { t.Error("a lock counts as a refusal") }
	e.delete = lifecycle.NewDeleter(lifecycle.DeleterConfig{OnRefused: refused}, e.c.DB(), locked, zaptest.NewLogger(t))
	rec := e.whole("gone")
	until := objstore.NewLock(objstore.Compliance, time.Now().Add(3650*24*time.Hour))
	etag, err := locked.Put(e.ctx, rec.ObjectKey, []byte("audio of gone"), objstore.PutOptions{Lock: until})
	e.must(err)
	x, err := e.ask("r", "gone")
	e.must(err)
	_, err = e.c.DB().ExecContext(e.ctx, `UPDATE deletions SET etag = $1, version_id = ''`, etag)
	e.must(err)
	x = e.finish(x.ID)
	if p := x.Proof; len(p.Locked) != 1 || p.Locked[0].ObjectKey != rec.ObjectKey || !p.Locked[0].Until.Equal(until.Until) || p.Recordings.Deleted != 0 {
		t.Errorf("the proof is %+v", p)
	}
	e.endLocks(x, func() {
		e.delete = lifecycle.NewDeleter(lifecycle.DeleterConfig{}, e.c.DB(), goneSources{locked}, zaptest.NewLogger(t))
		e.deleteBytes()
	})
}
