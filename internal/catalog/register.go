package catalog

import (
	"context"
	"database/sql"
	"slices"

	"github.com/callvault/callvault/internal/domain"
)

// bumpHours says that these hours hold something new: fresh has a key for each new recording,
// touched one for each change to what was there. It is the last thing that a registering
// transaction does, in key order, so that registrations wait for one another instead of
// deadlocking. A planned hour gets a time to be rebuilt at, unless it has one; a failed one need not
// wait for its next try, since what it lacked may have come.
// A key may stand more than once; its hour is bumped once.
// It gives how many fresh keys fall into days past retention: kept, and too late.
func (c *Catalog) bumpHours(ctx context.Context, tx *sql.Tx, fresh, touched []domain.HourKey) (tooLate int, err error) {
	bumps := make([]bump, 0, len(fresh)+len(touched))
	for _, k := range fresh {
		bumps = append(bumps, bump{k, 1})
	}
	for _, k := range touched {
		bumps = append(bumps, bump{k, 0})
	}
	slices.SortFunc(bumps, func(a, b bump) int {
		switch {
		case a.Less(b.HourKey):
			return -1
		case b.Less(a.HourKey):
			return 1
		}
		return 0
	})
	for len(bumps) > 0 {
		n, count := 0, 0
		for n < len(bumps) && bumps[n].Tenant == bumps[0].Tenant && bumps[n].Day == bumps[0].Day {
			count += bumps[n].fresh
			n++
		}
		late, err := c.bumpDay(ctx, tx, bumps[:n], count)
		if err != nil {
			return tooLate, err
		}
		if late {
			tooLate += count
		}
		bumps = bumps[n:]
	}
	return tooLate, nil
}

// bump is one reason why an hour changes, and how many new recordings it stands for.
type bump struct {
	domain.HourKey
	fresh int
}

// bumpDay bumps hours of one day, for which count recordings are new, and says whether that day is over. A day past its end while
// expiry pauses counts as open: the clock may be wrong, and what ends the day ends these too.
func (c *Catalog) bumpDay(ctx context.Context, tx *sql.Tx, keys []bump, count int) (late bool, err error) {
	tenant, day := keys[0].Tenant, keys[0].Day
	d, err := lockOpenDay(ctx, tx, tenant, day)
	if err != nil {
		return false, err
	}
	state := StatePending
	if d.expired {
		state = StateExpired
	}
	for i, k := range keys {
		if i > 0 && k.HourKey == keys[i-1].HourKey {
			continue
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO hours (tenant, day, hour, state, wanted) VALUES ($1, $2, $3, $4, 1)
			ON CONFLICT (tenant, day, hour) DO UPDATE SET wanted = hours.wanted + 1,
				state = CASE WHEN hours.state = 'no_data' THEN $4 ELSE hours.state END,
				due_us = CASE WHEN hours.planned AND (hours.due_us IS NULL AND hours.state <> 'expired'
					OR hours.state = 'failed' AND hours.due_us > `+lateDue+`) THEN `+lateDue+` ELSE hours.due_us END`,
			tenant, day, k.Hour, state, d.at, c.rules.LateDelay.Microseconds())
		if err != nil {
			return false, err
		}
	}
	if d.over {
		_, err := tx.ExecContext(ctx, `UPDATE days SET too_late = too_late + $3 WHERE tenant = $1 AND day = $2`, tenant, day, count)
		return true, err
	}
	return false, refreshDay(ctx, tx, tenant, day, d.at)
}

// lateDue is when an hour that changed after its plan is rebuilt, from now ($5) and the shortest
// wait ($6): late recordings rarely come alone, and a rebuild of a large hour is dear.
const lateDue = `CAST($5 AS BIGINT) + CASE WHEN 2 * hours.build_us > $6 THEN 2 * hours.build_us ELSE $6 END`
