package outbox

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
)

// No wait between two attempts is longer than furthestTry, and no claim is longer than
// furthestLease. A later time was written while the clock was ahead.
const (
	furthestTry   = 30 * time.Hour
	furthestLease = 2 * time.Hour
)

const repairDeliveriesSQL = `UPDATE webhook_deliveries SET next_us = $1, token = NULL
	WHERE state = 'pending' AND (next_us > $2 OR token IS NOT NULL AND next_us > $3)`

// repairDeliveries makes deliveries due whose time was written while the clock was ahead. Their
// claims would block the endpoints until that time. It also deletes deliveries that were created
// while their endpoint was deleted.
func repairDeliveries(ctx context.Context, tx *db.Tx, at int64) error {
	_, err := tx.ExecContext(ctx, repairDeliveriesSQL, at, at+furthestTry.Microseconds(), at+furthestLease.Microseconds())
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM webhook_deliveries WHERE state = 'pending' AND NOT EXISTS
		(SELECT 1 FROM webhook_endpoints e WHERE e.id = webhook_deliveries.endpoint)`)
	return err
}

// SweepWebhooks deletes events older than maxAge with their deliveries: at most limit, and none
// while deletions pause. It says how many. It also repairs the waiting deliveries.
func (b *Outbox) SweepWebhooks(ctx context.Context, maxAge time.Duration, limit int) (int, error) {
	n := 0
	err := b.db.Update(ctx, func(tx *db.Tx) error {
		n = 0
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if err := repairDeliveries(ctx, tx, at); err != nil {
			return err
		}
		if paused, err := clock.Paused(ctx, tx, at); err != nil || paused {
			return err
		}
		ids, err := db.Collect(ctx, tx, db.Value[string], `SELECT id FROM webhook_events WHERE created_us < $1 ORDER BY created_us, id LIMIT $2`, at-maxAge.Microseconds(), limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		list := `(` + db.Parameters(1, len(ids)) + `)`
		for _, query := range []string{
			`DELETE FROM webhook_attempts WHERE delivery IN (SELECT id FROM webhook_deliveries WHERE event IN ` + list + `)`,
			`DELETE FROM webhook_deliveries WHERE event IN ` + list,
			`DELETE FROM webhook_events WHERE id IN ` + list,
		} {
			if _, err := tx.ExecContext(ctx, query, db.Texts(ids)...); err != nil {
				return err
			}
		}
		n = len(ids)
		return nil
	})
	return n, err
}
