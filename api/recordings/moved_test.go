package recordings_test

import (
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/testenv"
)

// TestDayThatMoves ends a day while a request for it, which was judged by the day as it was, waits for
// the day's row: the answer is that of the day as it is. On SQLite nobody can write in between.
func TestDayThatMoves(t *testing.T) {
	b := newBench(t, apitest.Databases()["postgres"](t))
	b.build(3, "zip")
	db := testenv.Raw(t, b.url)
	tx, err := db.BeginTx(t.Context(), nil)
	b.must(err)
	for _, statement := range []string{
		`UPDATE days SET locked = locked + 1, expired_us = (SELECT now_us FROM catalog_clock)`,
		`UPDATE hours SET state = 'expired', archive = NULL`,
	} {
		_, err := tx.ExecContext(t.Context(), statement)
		b.must(err)
	}
	answer := make(chan apitest.Answer, 1)
	go func() { answer <- b.get(b.day) }()
	for waiting := 0; waiting == 0; time.Sleep(5 * time.Millisecond) {
		b.must(db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&waiting))
	}
	b.must(tx.Commit())
	if a := <-answer; a.Status != 404 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
