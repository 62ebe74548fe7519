package recordings_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/testenv"
)

// A day ends while a request for it, which has passed its checks, waits for the lock of the day's
// row. The answer says that the day has ended. On SQLite no other transaction can write in between.
func TestDayEndsDuringRequest(t *testing.T) {
	f := newFixture(t, apitest.Databases()["postgres"](t))
	f.build(3, "zip")
	db := testenv.Raw(t, f.url)
	tx, err := db.BeginTx(t.Context(), nil)
	f.must(err)
	for _, statement := range []string{
		`UPDATE days SET locked = locked + 1, expired_us = (SELECT now_us FROM catalog_clock)`,
		`UPDATE hours SET state = 'expired', archive = NULL`,
	} {
		_, err := tx.ExecContext(t.Context(), statement)
		f.must(err)
	}
	answer := make(chan apitest.Answer, 1)
	go func() { answer <- f.get(f.day) }()
	f.awaitLock(db)
	f.must(tx.Commit())
	if a := <-answer; a.Status != 404 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// awaitLock waits until a transaction waits for a lock.
func (f *fixture) awaitLock(db *sql.DB) {
	f.Helper()
	for waiting := 0; waiting == 0; time.Sleep(5 * time.Millisecond) {
		f.must(db.QueryRowContext(f.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&waiting))
	}
}

// A day gets its row and an archive while a request for it, which saw no day, waits. The request
// begins again, because it has not locked the day.
func TestDayBeginsDuringRequest(t *testing.T) {
	f := newFixture(t, apitest.Databases()["postgres"](t))
	db := testenv.Raw(t, f.url)
	tx, err := db.BeginTx(t.Context(), nil)
	f.must(err)
	_, err = tx.ExecContext(t.Context(), `LOCK TABLE window_uses IN SHARE MODE`)
	f.must(err)
	answer := make(chan apitest.Answer, 1)
	go func() { answer <- f.get(f.day) }()
	f.awaitLock(db)
	f.build(3, "zip")
	f.must(tx.Commit())
	if a := <-answer; a.Status != 200 || !strings.Contains(string(a.Body), `"totalSessions":1,"totalFiles":1`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
