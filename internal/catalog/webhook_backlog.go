package catalog

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// WebhooksBacklog is the state of all tenants' webhooks, in numbers.
type WebhooksBacklog struct {
	Enabled  int64 // endpoints
	Disabled int64 // by an operator
	Gone     int64 // disabled because their receivers answered 410
	Failing  int64 // enabled endpoints with a waiting delivery that failed three times or more
	GivenUp  int64 // deliveries to enabled endpoints that failed for good within the last week and were not replayed
}

// givenUpSpan is how long a delivery that failed for good is counted.
const givenUpSpan = 7 * 24 * time.Hour

// backlogWebhooksSQL reads one row per endpoint, of which a tenant has a few.
const backlogWebhooksSQL = `SELECT count(*) FILTER (WHERE disabled_us IS NULL),
	count(*) FILTER (WHERE disabled_us IS NOT NULL AND disabled_reason <> $1), count(*) FILTER (WHERE disabled_us IS NOT NULL AND disabled_reason = $1)
	FROM webhook_endpoints`

// backlogFailingSQL steps from endpoint to endpoint, so its cost does not grow with the waiting
// deliveries. A subquery reads the endpoints' rows, because PostgreSQL may read the whole table for
// a join.
const backlogFailingSQL = `WITH RECURSIVE failing (endpoint) AS (
		SELECT min(endpoint) FROM webhook_deliveries WHERE state = 'pending' AND tries > 2
		UNION ALL SELECT (SELECT min(d.endpoint) FROM webhook_deliveries d WHERE d.state = 'pending' AND d.tries > 2 AND d.endpoint > f.endpoint)
			FROM failing f WHERE f.endpoint IS NOT NULL)
	SELECT count(*) FROM (SELECT (SELECT e.disabled_us IS NULL FROM webhook_endpoints e WHERE e.id = f.endpoint) AS enabled FROM failing f) x WHERE enabled`

const backlogGivenUpSQL = `SELECT count(*) FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint
	WHERE d.state = 'failed' AND d.last_us > $1 AND e.disabled_us IS NULL`

// readWebhooksBacklog reads the numbers at the catalog's time at, in microseconds.
func readWebhooksBacklog(ctx context.Context, tx *db.Tx, at int64) (w WebhooksBacklog, err error) {
	err = tx.QueryRowContext(ctx, backlogWebhooksSQL, disabledByReceiver).Scan(&w.Enabled, &w.Disabled, &w.Gone)
	if err != nil {
		return w, err
	}
	if err := tx.QueryRowContext(ctx, backlogFailingSQL).Scan(&w.Failing); err != nil {
		return w, err
	}
	err = tx.QueryRowContext(ctx, backlogGivenUpSQL, at-givenUpSpan.Microseconds()).Scan(&w.GivenUp)
	return w, err
}
