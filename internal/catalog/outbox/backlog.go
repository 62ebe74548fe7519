package outbox

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// Backlog is the state of all tenants' webhooks, in numbers.
type Backlog struct {
	Enabled  int64 // endpoints
	Disabled int64 // by an operator
	Gone     int64 // disabled because their receivers answered 410
	Failing  int64 // enabled endpoints with a waiting delivery that failed three times or more
	GivenUp  int64 // deliveries to enabled endpoints that failed for good within the last week and were not replayed
}

// givenUpSpan is how long a delivery that failed for good is counted.
const givenUpSpan = 7 * 24 * time.Hour

// endpointsSQL reads one row per endpoint, of which a tenant has a few.
const endpointsSQL = `SELECT count(*) FILTER (WHERE disabled_us IS NULL),
	count(*) FILTER (WHERE disabled_us IS NOT NULL AND disabled_reason <> $1), count(*) FILTER (WHERE disabled_us IS NOT NULL AND disabled_reason = $1)
	FROM webhook_endpoints`

// failingSQL steps from endpoint to endpoint, so its cost does not grow with the waiting
// deliveries. A subquery reads the endpoints' rows, because PostgreSQL may read the whole table for
// a join.
const failingSQL = `WITH RECURSIVE failing (endpoint) AS (
		SELECT min(endpoint) FROM webhook_deliveries WHERE state = 'pending' AND tries > 2
		UNION ALL SELECT (SELECT min(d.endpoint) FROM webhook_deliveries d WHERE d.state = 'pending' AND d.tries > 2 AND d.endpoint > f.endpoint)
			FROM failing f WHERE f.endpoint IS NOT NULL)
	SELECT count(*) FROM (SELECT (SELECT e.disabled_us IS NULL FROM webhook_endpoints e WHERE e.id = f.endpoint) AS enabled FROM failing f) x WHERE enabled`

const givenUpSQL = `SELECT count(*) FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint
	WHERE d.state = 'failed' AND d.last_us > $1 AND e.disabled_us IS NULL`

// ReadBacklog reads the numbers at the catalog's time at, in microseconds.
func ReadBacklog(ctx context.Context, tx *db.Tx, at int64) (w Backlog, err error) {
	err = tx.QueryRowContext(ctx, endpointsSQL, disabledByReceiver).Scan(&w.Enabled, &w.Disabled, &w.Gone)
	if err != nil {
		return w, err
	}
	if err := tx.QueryRowContext(ctx, failingSQL).Scan(&w.Failing); err != nil {
		return w, err
	}
	err = tx.QueryRowContext(ctx, givenUpSQL, at-givenUpSpan.Microseconds()).Scan(&w.GivenUp)
	return w, err
}
