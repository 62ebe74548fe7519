package catalog

import (
	"context"
	"testing"
	"time"
)

// Programs before step 39 know no holds. They find that deletions pause for ever, and a pause that
// one of them begins is everybody's.
func TestFormerProgramsDeleteNothing(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			ask := func(query string) (n int64) {
				t.Helper()
				if err := c.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			trusted := func(what string, former, present int64) {
				t.Helper()
				if _, err := c.CheckClock(context.Background(), time.Time{}, 0); err != nil {
					t.Fatal(err)
				}
				const since = `SELECT count(*) FROM clock s CROSS JOIN catalog_clock n WHERE n.now_us >= `
				if got := ask(since + `s.deletions_after`); got != former {
					t.Errorf("%s: former programs trust the clock: %d, want %d", what, got, former)
				}
				if got := ask(since + `s.paused_until_us`); got != present {
					t.Errorf("%s: this program trusts the clock: %d, want %d", what, got, present)
				}
			}
			trusted("at first", 0, 1)
			// What a former program writes when it finds that the clock stepped.
			if _, err := c.db.ExecContext(t.Context(), `UPDATE clock SET seen_us = (SELECT now_us FROM catalog_clock),
				deletions_after = (SELECT now_us FROM catalog_clock) + 1500000`); err != nil {
				t.Fatal(err)
			}
			trusted("in its pause", 0, 0)
			if _, err := c.db.ExecContext(t.Context(), `UPDATE clock SET offset_us = offset_us + 2000000`); err != nil {
				t.Fatal(err)
			}
			trusted("after its pause", 0, 1)
		})
	}
}
