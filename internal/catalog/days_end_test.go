package catalog

import (
	"testing"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// A day that a program without the columns ended_… has ended says what is known: its hours by
// state, and nothing of what was missing. So does one that such a program reopened and ended again,
// and one that ended after such a program had counted its unbuilt hours.
func TestDaysEndedByFormerPrograms(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			for _, text := range []string{
				`INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us) VALUES ('acme', '', TRUE, FALSE, 3, 5, 5, 0)`,
				`INSERT INTO days (tenant, day, closes_us, planned_us, completed_us, expired_us, n_available, n_no_data, n_failed, total_files, unbuilt)
					VALUES ('acme', '2025-01-01', 1, 1, 1, 2, 3, 20, 1, 9, 1)`,
				`INSERT INTO days (tenant, day, closes_us, planned_us, completed_us, expired_us, n_available, n_no_data, ended_us, ended_missing, ended_lacking)
					VALUES ('acme', '2025-01-02', 1, 1, 1, 2, 4, 20, 1, 7, 1)`,
				`INSERT INTO hours (tenant, day, hour, state, ended_state, ended_missing) VALUES ('acme', '2025-01-02', 5, 'expired', 'available', 7)`,
				`INSERT INTO days (tenant, day, closes_us, planned_us, n_no_data, n_pending, unbuilt) VALUES ('acme', '2025-01-03', 1, 1, 23, 1, 1)`,
				`INSERT INTO hours (tenant, day, hour, state, planned, wanted, built) VALUES ('acme', '2025-01-03', 5, 'pending', TRUE, 1, -1)`,
			} {
				if _, err := c.db.ExecContext(t.Context(), text); err != nil {
					t.Fatal(err)
				}
			}
			err := c.db.Update(t.Context(), func(tx *db.Tx) error {
				_, err := expireDay(t.Context(), tx, "acme", "2025-01-03", 2)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			found, err := c.Calendar(t.Context(), TenantQuery{Limit: 1, From: "2025-01-01", To: "2025-01-03"})
			if err != nil {
				t.Fatal(err)
			}
			for day, want := range map[domain.Day]CalendarDay{
				"2025-01-01": {DayCounts: DayCounts{Available: 3, NoData: 20, Failed: 1}, Files: 9, CutShort: true, Unbuilt: 1},
				"2025-01-02": {DayCounts: DayCounts{Available: 4, NoData: 20}},
				"2025-01-03": {DayCounts: DayCounts{NoData: 23, Pending: 1}, CutShort: true, Unbuilt: 1},
			} {
				want.Day, want.Planned, want.Ended = day, true, true
				if got := found.Tenants[0].Days[day]; got != want {
					t.Errorf("%s: the calendar has %+v, want %+v", day, got, want)
				}
				v, err := c.Day(t.Context(), "acme", day)
				if err != nil || v.Counts() != want.DayCounts || v.EndKnown || v.Hours[5].End != (HourEnd{}) || v.CutShort != want.CutShort {
					t.Errorf("%s: the day has %+v, known %v, hour %+v, error %v", day, v.Counts(), v.EndKnown, v.Hours[5].End, err)
				}
			}
		})
	}
}
