package outbox

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Actions of operators about webhooks in the audit log.
const (
	ActionWebhookCreate  = "webhook.create"
	ActionWebhookSet     = "webhook.set"
	ActionWebhookRotate  = "webhook.rotate"
	ActionWebhookDelete  = "webhook.delete"
	ActionWebhookReplay  = "webhook.replay"
	ActionWebhookTest    = "webhook.test"
	ActionWebhookDisable = "webhook.disable" // by the receiver's own 410
)

// maxEndpoints bounds a tenant's endpoints, because each event is a row and a request for each of
// them.
const maxEndpoints = 10

// The reasons for which endpoints are disabled.
const (
	disabledByOperator = "by an operator"
	disabledByReceiver = "the receiver answered 410 Gone"
)

// Endpoint is an address to which a tenant's events are delivered.
type Endpoint struct {
	ID       string
	Tenant   string
	URL      string
	Events   []string // types, sorted
	Disabled time.Time
	Reason   string // why it is disabled
	Created  time.Time
	Secret   Sealed
	Former   Sealed    // the secrets before, while they sign too; none when its Data is nil
	Until    time.Time // when the last of them stops signing
}

// Sealed is a secret as it is stored. Package webhooks knows its format.
type Sealed struct {
	Data      []byte
	Encrypted bool
}

const endpointColumns = `id, tenant, url, events, secret, encrypted, former, former_encrypted, former_until_us,
	disabled_us, disabled_reason, created_us`

// scanEndpoint scans endpointColumns and further columns after them.
func scanEndpoint(row interface{ Scan(...any) error }, more ...any) (e Endpoint, err error) {
	var events string
	err = row.Scan(append([]any{&e.ID, &e.Tenant, &e.URL, &events, &e.Secret.Data, &e.Secret.Encrypted, &e.Former.Data, &e.Former.Encrypted,
		db.Time(&e.Until), db.Time(&e.Disabled), db.OrZero(&e.Reason), db.Time(&e.Created)}, more...)...)
	e.Events = strings.Fields(events)
	return e, err
}

// NewEndpointID gives an unused id. It is needed before the endpoint exists, because the secret is
// encrypted for it.
func NewEndpointID() string { return "whe_" + domain.NewToken() }

type endpointDetail struct {
	ID      string   `json:"id"`
	URL     string   `json:"url,omitempty"`
	Events  []string `json:"events,omitempty"`
	Enabled *bool    `json:"enabled,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	audit.Origin
}

// audit appends a line about an endpoint to the audit log.
func (e Endpoint) audit(ctx context.Context, tx *db.Tx, at int64, o audit.Origin, action string) error {
	enabled := e.Disabled.IsZero()
	url, _, _ := strings.Cut(e.URL, "?") // the query may have a secret of the receiver's, and the log is kept for ever
	d := endpointDetail{ID: e.ID, URL: url, Events: e.Events, Enabled: &enabled, Reason: e.Reason, Origin: o}
	return o.Append(ctx, tx, at, e.Tenant, action, d)
}

// checkEvents sorts event types. Error: KindInvalid for an unknown one, and for none.
func checkEvents(events []string) ([]string, error) {
	events = slices.Compact(slices.Sorted(slices.Values(events)))
	for _, e := range events {
		if !slices.Contains(domain.EventTypes(), e) {
			return nil, domain.Errorf(domain.KindInvalid, "there is no event %.40q; use %s", e, strings.Join(domain.EventTypes(), ", "))
		}
	}
	if len(events) == 0 {
		return nil, domain.Errorf(domain.KindInvalid, "a webhook needs at least one event; use %s", strings.Join(domain.EventTypes(), ", "))
	}
	return events, nil
}

// CreateEndpoint adds an endpoint with its stored secret. Errors: KindNotFound for an unknown
// tenant, KindInvalid for an unknown event, KindConflict when the tenant has too many.
func (b *Outbox) CreateEndpoint(ctx context.Context, e Endpoint, o audit.Origin) (Endpoint, error) {
	events, err := checkEvents(e.Events)
	if err != nil {
		return e, err
	}
	e.Events = events
	err = b.db.Update(ctx, func(tx *db.Tx) error {
		// The tenant's lock prevents that two transactions together exceed the limit.
		known, err := db.Affected(tx.ExecContext(ctx, `UPDATE tenants SET name = name WHERE id = $1 AND closed_us IS NULL`, e.Tenant))
		if err != nil {
			return err
		}
		if !known {
			return domain.Errorf(domain.KindNotFound, "tenant %.70q does not exist or is closed; see: callvault tenant list", e.Tenant)
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM webhook_endpoints WHERE tenant = $1`, e.Tenant).Scan(&n); err != nil {
			return err
		}
		if n >= maxEndpoints {
			return domain.Errorf(domain.KindConflict, "tenant %s has %d webhooks already, which is the most; delete one first", e.Tenant, n)
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		e.Created = db.FromMicros(at)
		if _, err := tx.ExecContext(ctx, `INSERT INTO webhook_endpoints (id, tenant, url, events, secret, encrypted, former_encrypted, created_us)
			VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7)`, e.ID, e.Tenant, e.URL, strings.Join(e.Events, " "), e.Secret.Data, e.Secret.Encrypted, at); err != nil {
			return err
		}
		return e.audit(ctx, tx, at, o, ActionWebhookCreate)
	})
	return e, err
}

// Endpoint reads a tenant's endpoint. Error: KindNotFound.
func (b *Outbox) Endpoint(ctx context.Context, tenant, id string) (Endpoint, error) {
	e, err := scanEndpoint(b.db.QueryRowContext(ctx, `SELECT `+endpointColumns+` FROM webhook_endpoints WHERE id = $1 AND tenant = $2`, id, tenant))
	return e, noEndpoint(err, tenant, id)
}

func noEndpoint(err error, tenant, id string) error {
	return db.NotFound(err, "tenant %.70q has no webhook %.70q; see: callvault webhook list --tenant %.70q", tenant, id, tenant)
}

// Endpoints lists a tenant's endpoints by id. There are at most maxEndpoints.
func (b *Outbox) Endpoints(ctx context.Context, tenant string) ([]Endpoint, error) {
	return db.Collect(ctx, b.db, func(rows *sql.Rows) (Endpoint, error) { return scanEndpoint(rows) },
		`SELECT `+endpointColumns+` FROM webhook_endpoints WHERE tenant = $1 ORDER BY id`, tenant)
}

// lockEndpoint locks and reads an endpoint. It must be locked before its deliveries.
func lockEndpoint(ctx context.Context, tx *db.Tx, id string, more string, args ...any) (Endpoint, error) {
	return scanEndpoint(tx.QueryRowContext(ctx, `UPDATE webhook_endpoints SET url = url WHERE id = $1`+more+` RETURNING `+endpointColumns,
		append([]any{id}, args...)...))
}

// changeEndpoint locks a tenant's endpoint, lets change edit it, writes it back and writes an audit
// line.
func (b *Outbox) changeEndpoint(ctx context.Context, tenant, id, action string, o audit.Origin, change func(e *Endpoint, at int64) error) (e Endpoint, err error) {
	err = b.db.Update(ctx, func(tx *db.Tx) (err error) {
		if e, err = lockEndpoint(ctx, tx, id, ` AND tenant = $2`, tenant); err != nil {
			return noEndpoint(err, tenant, id)
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if err := change(&e, at); err != nil {
			return err
		}
		if e.Events, err = checkEvents(e.Events); err != nil {
			return err
		}
		var until, disabled any
		if e.Former.Data != nil {
			until = db.Micros(e.Until)
		}
		if !e.Disabled.IsZero() {
			disabled = db.Micros(e.Disabled)
		}
		if _, err = tx.ExecContext(ctx, `UPDATE webhook_endpoints SET url = $2, events = $3, secret = $4, encrypted = $5, former = $6,
			former_encrypted = $7, former_until_us = $8, disabled_us = $9, disabled_reason = $10 WHERE id = $1`, id, e.URL, strings.Join(e.Events, " "),
			e.Secret.Data, e.Secret.Encrypted, e.Former.Data, e.Former.Encrypted, until, disabled, db.OrNull(e.Reason)); err != nil {
			return err
		}
		return e.audit(ctx, tx, at, o, action)
	})
	return e, err
}

// EndpointChange is what SetEndpoint changes. Fields that are nil stay as they are.
type EndpointChange struct {
	URL     *string
	Events  []string // nil: as they were
	Enabled *bool
}

// SetEndpoint changes an endpoint. The waiting deliveries of a disabled endpoint are sent when it
// is enabled again. While it is disabled, no new deliveries are created for it. Errors:
// KindNotFound, KindInvalid.
func (b *Outbox) SetEndpoint(ctx context.Context, tenant, id string, s EndpointChange, o audit.Origin) (Endpoint, error) {
	return b.changeEndpoint(ctx, tenant, id, ActionWebhookSet, o, func(e *Endpoint, at int64) error {
		if s.URL != nil {
			e.URL = *s.URL
		}
		if s.Events != nil {
			e.Events = s.Events
		}
		switch {
		case s.Enabled == nil:
		case *s.Enabled:
			e.Disabled, e.Reason = time.Time{}, ""
		default:
			if e.Disabled.IsZero() {
				e.Disabled = db.FromMicros(at)
			}
			e.Reason = disabledByOperator // it replaces the receiver's reason, because an operator has seen it
		}
		return nil
	})
}

// RotateEndpoint gives an endpoint a new secret. former gives the secrets that continue to sign,
// and until when; none when its Data is nil. Error: KindNotFound.
func (b *Outbox) RotateEndpoint(ctx context.Context, tenant, id string, fresh Sealed, former func(e Endpoint, at time.Time) (Sealed, time.Time),
	o audit.Origin) (Endpoint, error) {
	return b.changeEndpoint(ctx, tenant, id, ActionWebhookRotate, o, func(e *Endpoint, at int64) error {
		e.Former, e.Until = former(*e, db.FromMicros(at))
		e.Secret = fresh
		return nil
	})
}

// DeleteEndpoint deletes an endpoint and all its deliveries. Error: KindNotFound.
func (b *Outbox) DeleteEndpoint(ctx context.Context, tenant, id string, o audit.Origin) error {
	return b.db.Update(ctx, func(tx *db.Tx) error {
		e, err := lockEndpoint(ctx, tx, id, ` AND tenant = $2`, tenant)
		if err != nil {
			return noEndpoint(err, tenant, id)
		}
		for _, query := range []string{
			`DELETE FROM webhook_attempts WHERE delivery IN (SELECT id FROM webhook_deliveries WHERE endpoint = $1)`,
			`DELETE FROM webhook_deliveries WHERE endpoint = $1`,
			`DELETE FROM webhook_endpoints WHERE id = $1`,
		} {
			if _, err := tx.ExecContext(ctx, query, id); err != nil {
				return err
			}
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return e.audit(ctx, tx, at, o, ActionWebhookDelete)
	})
}

// SealEndpoints passes every secret that is stored unencrypted to seal, and stores the result.
func (b *Outbox) SealEndpoints(ctx context.Context, seal func(id string, s Sealed) Sealed) error {
	list, err := db.Collect(ctx, b.db, func(rows *sql.Rows) (Endpoint, error) { return scanEndpoint(rows) },
		`SELECT `+endpointColumns+` FROM webhook_endpoints WHERE NOT encrypted OR former IS NOT NULL AND NOT former_encrypted`)
	for _, e := range list {
		err = errors.Join(err, b.db.Update(ctx, func(tx *db.Tx) error {
			e, err := lockEndpoint(ctx, tx, e.ID, ``)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			if !e.Secret.Encrypted {
				e.Secret = seal(e.ID, e.Secret)
			}
			if e.Former.Data != nil && !e.Former.Encrypted {
				e.Former = seal(e.ID, e.Former)
			}
			_, err = tx.ExecContext(ctx, `UPDATE webhook_endpoints SET secret = $2, encrypted = $3, former = $4, former_encrypted = $5 WHERE id = $1`,
				e.ID, e.Secret.Data, e.Secret.Encrypted, e.Former.Data, e.Former.Encrypted)
			return err
		}))
	}
	return err
}
