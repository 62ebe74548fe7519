package catalog

import (
	"context"
	"database/sql"
	"slices"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// raiseWanted raises the wanted counter of hours: fresh has the hour of each new recording, touched
// the hour of each changed one. An hour may be named more than once, and is raised once. It must be
// the last step of a registering transaction. The hours are locked in key order, so that two
// registrations wait for each other instead of deadlocking. A planned hour gets a due time, unless
// it has an earlier one. A failed hour does not wait for its next try, because the missing file may
// have come. raiseWanted gives how many new recordings are too late: they are stored, but their
// days are past retention or end before a build can finish.
func (c *Catalog) raiseWanted(ctx context.Context, tx *db.Tx, fresh, touched []domain.HourKey) (tooLate int, err error) {
	raised := make([]hourChange, 0, len(fresh)+len(touched))
	for _, k := range fresh {
		raised = append(raised, hourChange{k, 1})
	}
	for _, k := range touched {
		raised = append(raised, hourChange{k, 0})
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

// hourChange is one changed recording of an hour. fresh is 1 for a new one.
type hourChange struct {
	domain.HourKey
	fresh int
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
			late += k.fresh
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
	for i, k := range keys {
		if i > 0 && k.HourKey == keys[i-1].HourKey {
			continue
		}
		delay := c.rebuildDelay(builds[k.Hour])
		_, err := tx.ExecContext(ctx, `INSERT INTO hours (tenant, day, hour, state, wanted) VALUES ($1, $2, $3, $4, 1)
			ON CONFLICT (tenant, day, hour) DO UPDATE SET wanted = hours.wanted + 1,
				state = CASE WHEN hours.state = 'no_data' THEN $4 ELSE hours.state END,
				due_us = CASE WHEN hours.planned AND hours.state <> 'expired' AND (hours.due_us IS NULL OR hours.due_us > $5)
					THEN $5 ELSE hours.due_us END`,
			tenant, day, k.Hour, state, d.dueAfter(delay, 0, delay))
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
