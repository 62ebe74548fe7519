package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Delivery is one row of the delivery log.
type Delivery struct {
	ID        string
	Event     string // the id that the receiver gets as webhook-id
	Endpoint  string
	Tenant    string
	Type      string
	Day       domain.Day // "" for a test
	State     string
	Attempts  int
	Next      time.Time // time of the next attempt; zero unless pending
	Last      time.Time // zero before the first attempt
	Status    int       // 0 when no answer came
	Error     string
	Took      time.Duration
	Delivered time.Time // zero until it is delivered
	Created   time.Time
}

const deliveryColumns = `id, event, endpoint, tenant, type, day, state, attempts, next_us, last_us, last_status, last_error, took_us, delivered_us, created_us`

func scanDelivery(row interface{ Scan(...any) error }) (d Delivery, err error) {
	var took int64
	err = row.Scan(&d.ID, &d.Event, &d.Endpoint, &d.Tenant, &d.Type, db.OrZero(&d.Day), &d.State, &d.Attempts, db.Time(&d.Next), db.Time(&d.Last),
		db.OrZero(&d.Status), db.OrZero(&d.Error), db.OrZero(&took), db.Time(&d.Delivered), db.Time(&d.Created))
	d.Took = time.Duration(took) * time.Microsecond
	if d.State != DeliveryPending {
		d.Next = time.Time{}
	}
	return d, err
}

// DeliveryQuery asks for a tenant's deliveries. Empty fields filter nothing.
type DeliveryQuery struct {
	Tenant   string
	Endpoint string
	Type     string
	State    string
	Day      domain.Day
	ID       string
	Before   Position // the last row of the page before
	Limit    int
}

// where gives the conditions of the filters that are not empty, and their values.
func (q DeliveryQuery) where() (text string, args []any) {
	text, args = `tenant = $1`, []any{q.Tenant}
	for _, f := range []struct{ column, value string }{
		{"endpoint", q.Endpoint}, {"type", q.Type}, {"state", q.State}, {"day", string(q.Day)}, {"id", q.ID},
	} {
		if f.value != "" {
			args = append(args, f.value)
			text += fmt.Sprintf(" AND %s = $%d", f.column, len(args))
		}
	}
	return text, args
}

// Deliveries lists a tenant's deliveries, newest first.
func (b *Outbox) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error) {
	query, args := q.list()
	return db.Collect(ctx, b.db, func(rows *sql.Rows) (Delivery, error) { return scanDelivery(rows) }, query, args...)
}

// list gives the query of a page and its arguments.
func (q DeliveryQuery) list() (query string, args []any) {
	where, args := q.where()
	if q.Before.ID != "" {
		args = append(args, q.Before.At, q.Before.ID)
		where += fmt.Sprintf(` AND (created_us, id) < ($%d, $%d)`, len(args)-1, len(args))
	}
	args = append(args, q.Limit)
	return `SELECT ` + deliveryColumns + ` FROM webhook_deliveries WHERE ` + where +
		fmt.Sprintf(` ORDER BY created_us DESC, id DESC LIMIT $%d`, len(args)), args
}

// Position is a delivery's place in the log: its time, then its id, bytewise.
type Position struct {
	At int64 // UTC microseconds
	ID string
}

// Position is the delivery's position in the log.
func (d Delivery) Position() Position { return Position{At: db.Micros(d.Created), ID: d.ID} }

// DeliveryAttempt is one attempt to deliver.
type DeliveryAttempt struct {
	N      int
	At     time.Time
	Status int // 0 when no answer came
	Error  string
	Took   time.Duration
}

// DeliveryHistory is a delivery with its body and its latest attempts.
type DeliveryHistory struct {
	Delivery
	Payload string
	Tries   []DeliveryAttempt // latest first
}

// DeliveryHistory reads one delivery of a tenant. Error: KindNotFound.
func (b *Outbox) DeliveryHistory(ctx context.Context, tenant, id string) (s DeliveryHistory, err error) {
	err = b.db.View(ctx, func(tx *db.Tx) (err error) {
		s = DeliveryHistory{}
		s.Delivery, err = scanDelivery(tx.QueryRowContext(ctx, `SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE id = $1 AND tenant = $2`, id, tenant))
		if err != nil {
			return db.NotFound(err, "tenant %.70q has no delivery %.70q", tenant, id)
		}
		if err := tx.QueryRowContext(ctx, `SELECT payload FROM webhook_events WHERE id = $1`, s.Event).Scan(&s.Payload); err != nil {
			return err
		}
		s.Tries, err = db.Collect(ctx, tx, func(rows *sql.Rows) (a DeliveryAttempt, err error) {
			var took int64
			err = rows.Scan(&a.N, db.Time(&a.At), db.OrZero(&a.Status), db.OrZero(&a.Error), &took)
			a.Took = time.Duration(took) * time.Microsecond
			return a, err
		}, `SELECT n, at_us, status, error, took_us FROM webhook_attempts WHERE delivery = $1 ORDER BY n DESC`, id)
		return err
	})
	return s, err
}

type replayDetail struct {
	Delivery string     `json:"delivery,omitempty"`
	Endpoint string     `json:"endpoint,omitempty"`
	Type     string     `json:"type,omitempty"`
	State    string     `json:"state,omitempty"`
	Day      domain.Day `json:"day,omitempty"`
	Replayed int        `json:"replayed"`
	audit.Origin
}

// ReplayDeliveries makes all deliveries that q finds due again, also those that arrived, and says
// how many. It ignores q's limit. Ids and bodies stay the same, and tries are counted from zero. A
// delivery that is being sent now stays as it is. Errors: KindInvalid when q names neither a
// delivery, a day nor a state; KindNotFound for an unknown tenant or delivery.
func (b *Outbox) ReplayDeliveries(ctx context.Context, q DeliveryQuery, o audit.Origin) (n int, err error) {
	if q.ID == "" && q.Day == "" && q.State == "" {
		return 0, domain.Errorf(domain.KindInvalid, "say what to replay: one delivery, a day, or what failed")
	}
	where, args := q.where()
	args = append(args, int64(0))
	place := len(args)
	err = b.db.Update(ctx, func(tx *db.Tx) error {
		var tenant string
		if err := tx.QueryRowContext(ctx, `SELECT id FROM tenants WHERE id = $1`, q.Tenant).Scan(&tenant); err != nil {
			return db.NotFound(err, "tenant %.70q does not exist; see: callvault tenant list", q.Tenant)
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if q.ID != "" {
			var known int
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM webhook_deliveries WHERE id = $1 AND tenant = $2`, q.ID, tenant).Scan(&known); err != nil {
				return err
			}
			if known == 0 {
				return domain.Errorf(domain.KindNotFound, "tenant %s has no delivery %.70q", tenant, q.ID)
			}
		}
		args[place-1] = at
		res, err := tx.ExecContext(ctx, `UPDATE webhook_deliveries SET state = 'pending', tries = 0, token = NULL, delivered_us = NULL,
			next_us = `+fmt.Sprintf(`$%d WHERE %s AND (token IS NULL OR next_us <= $%d)`, place, where, place), args...)
		if err != nil {
			return err
		}
		done, err := res.RowsAffected()
		if err != nil {
			return err
		}
		n = int(done)
		return o.Append(ctx, tx, at, tenant, ActionWebhookReplay, replayDetail{q.ID, q.Endpoint, q.Type, q.State, q.Day, n, o})
	})
	return n, err
}
