package lifecycle_test

import (
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

// waiting says how many transactions of the PostgreSQL database wait for a lock.
func (f *fixture) waiting() (n int) {
	f.Helper()
	f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&n))
	return n
}

// Lines that are being taken in while their conversation is erased do not bring it back. A lock of
// another conversation holds them up.
func TestErasureWaitsForLines(t *testing.T) {
	e := newErasing(t, catalogtest.Open(t, catalogtest.Postgres(t)), objstoretest.MinIO(t))
	e.whole("gone")
	e.must(e.take(catalog.Batch{Conversations: lines(conversation("before"))}))
	locked, release := make(chan struct{}), make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		err := e.c.DB().Update(e.ctx, func(tx *db.Tx) error {
			_, err := tx.ExecContext(e.ctx, `UPDATE conversations SET updated_us = updated_us WHERE tenant = $1 AND id = 'before'`, tenant)
			close(locked)
			<-release
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-locked
	late := e.recording("gone")
	work.Go(func() {
		if err := e.take(catalog.Batch{Conversations: lines(conversation("before"), conversation("gone")), Recordings: lines(late)}); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); e.waiting() < 1 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if e.waiting() < 1 {
		t.Error("the line does not wait for the lock")
	}
	asked := make(chan struct{})
	work.Go(func() {
		defer close(asked)
		if _, err := e.ask("r", "gone"); err != nil {
			t.Error(err)
		}
	})
	for done := false; !done && e.waiting() < 2; {
		select {
		case <-asked:
			done = true
		case <-time.After(5 * time.Millisecond):
		}
	}
	close(release)
	work.Wait()
	e.must(e.eraser.Step(e.ctx))
	if rows := e.rowsOf("gone"); rows != "" || e.rows("recordings") != 0 {
		t.Errorf("after the erasure there are %d recordings and\n%s", e.rows("recordings"), rows)
	}
}
