package outbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Event is what is sent to a tenant's endpoints. It is inserted in the transaction of its cause. So
// no event is lost, and none is sent for a change that was rolled back.
type Event struct {
	ID     string
	Tenant string
	Day    domain.Day // "" for a test
	Type   string     // such as domain.EventDayCompleted
	At     int64      // microseconds
	Data   any        // of its body
}

// eventBody is what is sent.
type eventBody struct {
	Type string `json:"type"`
	Time string `json:"timestamp"`
	Data any    `json:"data"`
}

// testEvent is the data of webhook.test.
type testEvent struct {
	Tenant string `json:"tenant"`
}

// EventTime formats a time as all answers of the API do.
func EventTime(us int64) string { return db.FromMicros(us).Format("2006-01-02T15:04:05Z") }

// EventID derives an event's id from its cause. The id has no ".", because the signed text uses it
// as a separator.
func EventID(cause ...any) string {
	h := sha256.New()
	for _, part := range cause {
		_, _ = fmt.Fprintf(h, "%v\x00", part) // a hash never fails
	}
	return "evt_" + hex.EncodeToString(h.Sum(nil)[:16])
}

const subscribersSQL = `SELECT id, events FROM webhook_endpoints WHERE tenant = $1 AND disabled_us IS NULL ORDER BY id`

// Subscribers gives the tenant's enabled endpoints that want a type of event. Most tenants have
// none, which is one index look-up.
func Subscribers(ctx context.Context, tx *db.Tx, tenant, eventType string) ([]string, error) {
	type row struct{ id, events string }
	rows, err := db.Collect(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.events)
		return r, err
	}, subscribersSQL, tenant)
	var ids []string
	for _, r := range rows {
		if slices.Contains(strings.Fields(r.events), eventType) {
			ids = append(ids, r.id)
		}
	}
	return ids, err
}

// Add inserts an event and its deliveries, unless the event exists already.
func (e Event) Add(ctx context.Context, tx *db.Tx, endpoints []string) error {
	payload, err := json.Marshal(eventBody{Type: e.Type, Time: EventTime(e.At), Data: e.Data})
	if err != nil {
		return err
	}
	fresh, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO webhook_events (id, tenant, type, payload, created_us) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO NOTHING`, e.ID, e.Tenant, e.Type, string(payload), e.At))
	if err != nil || !fresh {
		return err
	}
	for _, endpoint := range endpoints {
		if _, err := tx.ExecContext(ctx, `INSERT INTO webhook_deliveries (id, event, endpoint, tenant, type, day, state, next_us, created_us)
			VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $7)`, "whd_"+domain.NewToken(), e.ID, endpoint, e.Tenant, e.Type, db.OrNull(string(e.Day)), e.At); err != nil {
			return err
		}
	}
	return nil
}

// TestEndpoint adds a test event for one endpoint, and gives its delivery. Errors: KindNotFound,
// KindConflict for a disabled one.
func (b *Outbox) TestEndpoint(ctx context.Context, tenant, id string, o audit.Origin) (delivery string, err error) {
	err = b.db.Update(ctx, func(tx *db.Tx) error {
		e, err := lockEndpoint(ctx, tx, id, ` AND tenant = $2`, tenant)
		if err != nil {
			return noEndpoint(err, tenant, id)
		}
		if !e.Disabled.IsZero() {
			return domain.Errorf(domain.KindConflict, "webhook %s is disabled; enable it first: callvault webhook set --tenant %s %s --enable", id, tenant, id)
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		hello := Event{ID: EventID(domain.EventTest, id, domain.NewToken()), Tenant: tenant, Type: domain.EventTest, At: at, Data: testEvent{tenant}}
		if err := hello.Add(ctx, tx, []string{id}); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT id FROM webhook_deliveries WHERE event = $1`, hello.ID).Scan(&delivery); err != nil {
			return err
		}
		return e.audit(ctx, tx, at, o, ActionWebhookTest)
	})
	return delivery, err
}
