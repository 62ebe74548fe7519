package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// States of a delivery.
const (
	DeliveryPending   = "pending"
	DeliveryDelivered = "delivered"
	DeliveryFailed    = "failed"
)

// DeliveryLimits bounds how much is sent at the same time, over all replicas.
type DeliveryLimits struct {
	Endpoint int // senders to one endpoint
	Tenant   int // senders to all endpoints of a tenant, approximately
	Batch    int // deliveries that one sender takes and sends one after the other; 0 is 1
}

// DeliveryClaim is one sender's claim on a delivery. Only its token can record the outcome. The
// deliveries of one batch have the same token.
type DeliveryClaim struct {
	ID       string
	Token    string
	Event    string
	Type     string
	Payload  []byte
	Tries    int // tries before this one, since the delivery was created or replayed
	At       time.Time
	Endpoint Endpoint
	created  int64 // microseconds
}

// dueEndpointsSQL steps from one endpoint with waiting deliveries to the next, so that its cost
// grows with the endpoints and not with the deliveries. Tenants with the fewest senders come first,
// then the endpoint that has waited longest.
const dueEndpointsSQL = `WITH RECURSIVE waiting (endpoint) AS (
		SELECT min(endpoint) FROM webhook_deliveries WHERE state = 'pending'
		UNION ALL SELECT (SELECT min(d.endpoint) FROM webhook_deliveries d WHERE d.state = 'pending' AND d.endpoint > w.endpoint)
			FROM waiting w WHERE w.endpoint IS NOT NULL)
	SELECT id FROM (SELECT e.id AS id, e.now_us AS now_us,
		(SELECT min(d.next_us) FROM webhook_deliveries d WHERE d.endpoint = e.id AND d.state = 'pending') AS head,
		(SELECT count(DISTINCT h.token) FROM webhook_deliveries h WHERE h.tenant = e.tenant AND h.token IS NOT NULL AND h.next_us > e.now_us) AS held,
		(SELECT count(DISTINCT h.token) FROM webhook_deliveries h WHERE h.tenant = e.tenant AND h.token IS NOT NULL AND h.next_us > e.now_us AND h.endpoint = e.id) AS own
		FROM (SELECT w.endpoint AS id, (SELECT now_us FROM catalog_clock) AS now_us,
			(SELECT x.tenant FROM webhook_endpoints x WHERE x.id = w.endpoint AND x.disabled_us IS NULL) AS tenant
			FROM waiting w) e WHERE e.tenant IS NOT NULL) due
	WHERE head <= now_us AND held < $1 AND own < $2 ORDER BY held, head, id LIMIT $3`

// ClaimDeliveries claims due deliveries: one batch for one sender, of each of at most limit
// endpoints. So no endpoint waits for the backlog of another. A claim whose outcome is not recorded
// within lease lapses, and its delivery is sent again.
func (b *Outbox) ClaimDeliveries(ctx context.Context, f DeliveryLimits, lease time.Duration, limit int) (batches [][]DeliveryClaim, err error) {
	endpoints, err := db.Collect(ctx, b.db, db.Value[string], dueEndpointsSQL, f.Tenant, f.Endpoint, limit)
	if err != nil {
		return nil, err
	}
	for _, id := range endpoints {
		batch, err := b.claimBatch(ctx, id, f, lease)
		if err != nil {
			return batches, err
		}
		if len(batch) > 0 {
			batches = append(batches, batch)
		}
	}
	return batches, nil
}

// heldDeliveriesSQL gives the time, how many senders an endpoint has, and how many of its
// deliveries are due, up to $3.
const heldDeliveriesSQL = `SELECT now_us, (SELECT count(DISTINCT token) FROM webhook_deliveries
		WHERE tenant = $1 AND token IS NOT NULL AND next_us > now_us AND endpoint = $2),
	(SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries WHERE endpoint = $2 AND state = 'pending' AND next_us <= now_us LIMIT $3) due)
	FROM catalog_clock`

// takeDeliveriesSQL has its condition twice. While it waits for a row's lock, the sender before may
// record the outcome.
const takeDeliveriesSQL = `UPDATE webhook_deliveries SET token = $3, next_us = $4
	WHERE id IN (SELECT id FROM webhook_deliveries WHERE endpoint = $1 AND state = 'pending' AND next_us <= $2 ORDER BY next_us LIMIT $5)
		AND state = 'pending' AND next_us <= $2
	RETURNING id, event, type, tries, created_us, (SELECT e.payload FROM webhook_events e WHERE e.id = event)`

// claimBatch claims an endpoint's first due deliveries for one sender, unless the endpoint has
// enough senders. It leaves the same number for each of the other senders.
func (b *Outbox) claimBatch(ctx context.Context, endpoint string, f DeliveryLimits, lease time.Duration) (batch []DeliveryClaim, err error) {
	err = b.db.Update(ctx, func(tx *db.Tx) error {
		batch = nil
		e, err := lockEndpoint(ctx, tx, endpoint, ` AND disabled_us IS NULL`)
		if errors.Is(err, sql.ErrNoRows) { // it was disabled or deleted meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		var at int64
		var senders, due int
		most := max(f.Batch, 1)
		err = tx.QueryRowContext(ctx, heldDeliveriesSQL, e.Tenant, endpoint, f.Endpoint*most).Scan(&at, &senders, &due)
		if err != nil || senders >= f.Endpoint {
			return err
		}
		token := domain.NewToken()
		taken, err := db.Collect(ctx, tx, func(rows *sql.Rows) (d DeliveryClaim, err error) {
			d = DeliveryClaim{Token: token, Endpoint: e, At: db.FromMicros(at)}
			err = rows.Scan(&d.ID, &d.Event, &d.Type, &d.Tries, &d.created, &d.Payload)
			return d, err
		}, takeDeliveriesSQL, endpoint, at, token, at+lease.Microseconds(), min(most, (due+f.Endpoint-1)/f.Endpoint))
		if err != nil {
			return err
		}
		// The oldest delivery is sent first, because a slow receiver may get only the first one of
		// a batch.
		slices.SortFunc(taken, func(a, b DeliveryClaim) int { return cmp.Compare(a.created, b.created) })
		for _, d := range taken {
			if d.Payload != nil {
				batch = append(batch, d)
				continue
			}
			// A delivery without its event must not block all others.
			if _, err := tx.ExecContext(ctx, `UPDATE webhook_deliveries SET state = 'failed', token = NULL, last_error = 'its event is not held any more'
				WHERE id = $1`, d.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return batch, err
}

// DeliveryOutcome is the outcome of one attempt to deliver, and what follows from it.
type DeliveryOutcome struct {
	Status    int    // HTTP status; 0 when no answer came
	Error     string // "" when it was delivered; safe to show
	Took      time.Duration
	RetryIn   time.Duration // time until the next attempt; negative when this was the last
	Gone      bool          // the receiver answered that it wants no more events
	Delivered bool
}

// keptAttempts is how many attempts of a delivery stay in the log. The older ones are deleted.
const keptAttempts = 20

// RecordDelivery records the outcome of a claimed delivery. Error: KindLost when the claim lapsed
// and another sender has the delivery, or when it was replayed or deleted meanwhile.
func (b *Outbox) RecordDelivery(ctx context.Context, d DeliveryClaim, a DeliveryOutcome) error {
	return b.db.Update(ctx, func(tx *db.Tx) error {
		gone := a.Gone
		if gone { // endpoints are locked before their deliveries
			var err error
			if gone, err = disableGone(ctx, tx, d.Endpoint); err != nil {
				return err
			}
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		state, next, delivered, status := DeliveryPending, at+a.RetryIn.Microseconds(), any(nil), any(nil)
		switch {
		case a.Delivered:
			state, next, delivered = DeliveryDelivered, at, at
		case gone, a.RetryIn < 0:
			state, next = DeliveryFailed, at
		}
		if a.Status != 0 {
			status = a.Status
		}
		var n int
		err = tx.QueryRowContext(ctx, `UPDATE webhook_deliveries SET state = $3, next_us = $4, delivered_us = $5, token = NULL, tries = tries + 1,
			attempts = attempts + 1, last_us = $6, last_status = $7, last_error = $8, took_us = $9 WHERE id = $1 AND token = $2 RETURNING attempts`,
			d.ID, d.Token, state, next, delivered, at, status, db.OrNull(a.Error), a.Took.Microseconds()).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return domain.Errorf(domain.KindLost, "the claim on this delivery is gone")
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO webhook_attempts (delivery, n, at_us, status, error, took_us) VALUES ($1, $2, $3, $4, $5, $6)`,
			d.ID, n, at, status, db.OrNull(a.Error), a.Took.Microseconds())
		if err != nil || n <= keptAttempts {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM webhook_attempts WHERE delivery = $1 AND n <= $2`, d.ID, n-keptAttempts)
		return err
	})
}

// ReturnDeliveries gives a sender's claims back without an attempt. The deliveries are due again
// after wait. If wait is positive, all other deliveries of the endpoint wait too, because the same
// cause prevents them.
func (b *Outbox) ReturnDeliveries(ctx context.Context, batch []DeliveryClaim, wait time.Duration) error {
	return b.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		until := at + wait.Microseconds()
		own := false
		for _, d := range batch {
			held, err := db.Affected(tx.ExecContext(ctx, `UPDATE webhook_deliveries SET token = NULL, next_us = $3 WHERE id = $1 AND token = $2`, d.ID, d.Token, until))
			if err != nil {
				return err
			}
			own = own || held
		}
		if !own || wait <= 0 {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE webhook_deliveries SET next_us = $2 WHERE endpoint = $1 AND state = 'pending' AND token IS NULL AND next_us < $2`,
			batch[0].Endpoint.ID, until)
		return err
	})
}

// disableGone disables an endpoint whose receiver answered 410 Gone, and says whether the endpoint
// is disabled. The answer of a former address changes nothing.
func disableGone(ctx context.Context, tx *db.Tx, asked Endpoint) (bool, error) {
	e, err := lockEndpoint(ctx, tx, asked.ID, ``)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return true, nil
	case err != nil:
		return false, err
	case e.URL != asked.URL:
		return false, nil
	case !e.Disabled.IsZero():
		return true, nil
	}
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return false, err
	}
	e.Disabled, e.Reason = db.FromMicros(at), disabledByReceiver
	if _, err := tx.ExecContext(ctx, `UPDATE webhook_endpoints SET disabled_us = $2, disabled_reason = $3 WHERE id = $1`, e.ID, at, e.Reason); err != nil {
		return false, err
	}
	return true, e.audit(ctx, tx, at, audit.Origin{Actor: "receiver"}, ActionWebhookDisable)
}
