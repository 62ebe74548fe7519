package catalog

import (
	"context"
	"database/sql"
	"slices"

	"github.com/callvault/callvault/internal/domain"
)

// bumpHours says that these hours hold something new. It is the last thing that a registering
// transaction does, in key order, so that registrations wait for one another instead of
// deadlocking. A planned hour gets a time to be rebuilt at, unless it has one.
// A key may stand more than once, once per recording; it is bumped once.
// It gives how many keys fall into days past retention: kept, and too late.
func (c *Catalog) bumpHours(ctx context.Context, tx *sql.Tx, keys []domain.HourKey) (tooLate int, err error) {
	slices.SortFunc(keys, func(a, b domain.HourKey) int {
		switch {
		case a.Less(b):
			return -1
		case b.Less(a):
			return 1
		}
		return 0
	})
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && keys[n].Tenant == keys[0].Tenant && keys[n].Day == keys[0].Day {
			n++
		}
		open, err := c.bumpDay(ctx, tx, keys[:n])
		if err != nil {
			return tooLate, err
		}
		if !open {
			tooLate += n
		}
		keys = keys[n:]
	}
	return tooLate, nil
}

// bumpDay bumps hours of one day.
func (c *Catalog) bumpDay(ctx context.Context, tx *sql.Tx, keys []domain.HourKey) (open bool, err error) {
	tenant, day := keys[0].Tenant, keys[0].Day
	open, at, err := lockOpenDay(ctx, tx, tenant, day)
	if err != nil {
		return false, err
	}
	state := "pending"
	if !open {
		state = "expired"
	}
	for i, k := range keys {
		if i > 0 && k == keys[i-1] {
			continue
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO hours (tenant, day, hour, state, wanted) VALUES ($1, $2, $3, $4, 1)
			ON CONFLICT (tenant, day, hour) DO UPDATE SET wanted = hours.wanted + 1,
				state = CASE WHEN hours.state = 'no_data' THEN $4 ELSE hours.state END,
				due_us = CASE WHEN hours.planned AND hours.due_us IS NULL AND hours.state <> 'expired'
					THEN `+lateDue+` ELSE hours.due_us END`,
			tenant, day, k.Hour, state, at, c.rules.LateDelay.Microseconds())
		if err != nil {
			return false, err
		}
	}
	if !open {
		_, err := tx.ExecContext(ctx, `UPDATE days SET too_late = too_late + $3 WHERE tenant = $1 AND day = $2`, tenant, day, len(keys))
		return false, err
	}
	return true, refreshDay(ctx, tx, tenant, day, at)
}

// lateDue is when an hour that changed after its plan is rebuilt, from now ($5) and the shortest
// wait ($6): late recordings rarely come alone, and a rebuild of a large hour is dear.
const lateDue = `CAST($5 AS BIGINT) + CASE WHEN 2 * hours.build_us > $6 THEN 2 * hours.build_us ELSE $6 END`
