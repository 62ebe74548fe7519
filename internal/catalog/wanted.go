package catalog

import (
	"context"
	"database/sql"
	"slices"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// raiseWanted raises the wanted counter of hours. fresh has the hour of each new recording, touched
// the hour of each changed one, and left the hour that a recording has left. An hour that is named
// more than once is raised once. It must be the last step of a registering transaction that locks
// days, hours or archives. The hours are locked in key order, so that two registrations wait for
// each other instead of deadlocking. A planned hour gets a due time, unless it has an earlier one.
// A failed hour does not wait for its next try, because the missing file may have come. raiseWanted
// gives how many new recordings are too late: they are stored, but their days are past retention or
// end before a build can finish.
func (c *Catalog) raiseWanted(ctx context.Context, tx *db.Tx, fresh, touched, left []domain.HourKey) (tooLate int, err error) {
	raised := make([]hourChange, 0, len(fresh)+len(touched)+len(left))
	for n, keys := range map[int][]domain.HourKey{1: fresh, 0: touched, -1: left} {
		for _, k := range keys {
			raised = append(raised, hourChange{k, n})
		}
	}
	slices.SortFunc(raised, func(a, b hourChange) int { return a.Compare(b.HourKey) })
	for len(raised) > 0 {
		n := 0
		for n < len(raised) && raised[n].Tenant == raised[0].Tenant && raised[n].Day == raised[0].Day {
			n++
		}
		late, err := c.raiseWantedOfDay(ctx, tx, raised[:n])
		if err != nil {
			return tooLate, err
		}
		tooLate += late
		raised = raised[n:]
	}
	return tooLate, nil
}

// hourChange is one changed recording of an hour. n is 1 for a new one and -1 for one that left.
type hourChange struct {
	domain.HourKey
	n int
}

// raiseWantedOfDay is raiseWanted for the hours of one day. A day that is past its end while expiry
// pauses counts as open, because the clock may be wrong. If the day ends after the pause, the new
// recordings end with it.
func (c *Catalog) raiseWantedOfDay(ctx context.Context, tx *db.Tx, keys []hourChange) (late int, err error) {
	tenant, day := keys[0].Tenant, keys[0].Day
	d, err := lockOpenDay(ctx, tx, tenant, day)
	if err != nil {
		return 0, err
	}
	builds, err := lastBuilds(ctx, tx, tenant, day)
	if err != nil {
		return 0, err
	}
	for _, k := range keys {
		if !d.canFinish(builds[k.Hour]) || d.over {
			late += max(k.n, 0)
		}
	}
	state := StatePending
	if d.expired {
		state = StateExpired
	}
	if d.over {
		if !d.expired {
			if err := noteUnbuilt(ctx, tx, tenant, day); err != nil {
				return 0, err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE days SET too_late = too_late + $3 WHERE tenant = $1 AND day = $2`, tenant, day, late); err != nil {
			return 0, err
		}
	}
	for len(keys) > 0 {
		hour, n, same := keys[0].Hour, 0, 0
		for ; same < len(keys) && keys[same].Hour == hour; same++ {
			n += keys[same].n
		}
		keys = keys[same:]
		delay := c.rebuildDelay(builds[hour])
		_, err := tx.ExecContext(ctx, `INSERT INTO hours (tenant, day, hour, state, wanted, registered, counted) VALUES ($1, $2, $3, $4, 1, $6, 1)
			ON CONFLICT (tenant, day, hour) DO UPDATE SET wanted = hours.wanted + 1, registered = hours.registered + $6, counted = hours.counted + 1,
				state = CASE WHEN hours.state = 'no_data' THEN $4 ELSE hours.state END,
				due_us = CASE WHEN hours.planned AND hours.state <> 'expired' AND (hours.due_us IS NULL OR hours.due_us > $5)
					THEN $5 ELSE hours.due_us END`,
			tenant, day, hour, state, d.dueAfter(delay, 0, delay), n)
		if err != nil {
			return 0, err
		}
	}
	if d.over {
		return late, nil
	}
	return late, refreshDay(ctx, tx, tenant, day, d.at)
}

// lastBuilds gives how long the last build of each hour of a locked day took, in microseconds.
func lastBuilds(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (builds [24]int64, err error) {
	err = db.Each(ctx, tx, func(rows *sql.Rows) error {
		var hour int
		var took int64
		err := rows.Scan(&hour, &took)
		if err == nil {
			builds[hour] = took
		}
		return err
	}, `SELECT hour, build_us FROM hours WHERE tenant = $1 AND day = $2 AND build_us > 0`, tenant, day)
	return builds, err
}
