package catalog

import (
	"context"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Actions of operators in the audit log. Each line is written in the transaction of its action, so
// it is there if and only if the action was done.
const (
	ActionArchive = "archive" // hours were made due
	ActionRetry   = "retry"   // a failed hour was made due
)

// RebuildRequest is an operator's request to build hours.
type RebuildRequest struct {
	Tenant string
	Day    domain.Day
	Hour   int  // -1 for all hours
	Force  bool // also hours that are complete
	Origin audit.Origin
}

type rebuildDetail struct {
	Day   domain.Day `json:"day"`
	Hour  string     `json:"hour,omitempty"` // "00" to "23"; "" for all hours
	Force bool       `json:"force"`
	Due   int        `json:"due"`
	audit.Origin
}

// Rebuild makes hours of a day due at once: all of them (hour < 0) or one. Without force it takes
// only hours that want a build, with force also complete ones. The attempts of failed hours are
// counted from zero again. An hour that is over and not planned is planned. It says how many hours
// are due. Errors: KindNotFound (tenant), KindInvalid (not over yet), KindExpired (past retention).
func (c *Catalog) Rebuild(ctx context.Context, r RebuildRequest) (due int, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		if due, err = c.rebuild(ctx, tx, r.Tenant, r.Day, r.Hour, r.Force); err != nil {
			return err
		}
		return r.audit(ctx, tx, ActionArchive, due)
	})
	return due, err
}

// RetryHour makes a failed hour due, with a line in the audit log. It is false, and does nothing,
// when the hour is not failed. It has the errors of Rebuild.
func (c *Catalog) RetryHour(ctx context.Context, key domain.HourKey, o audit.Origin) (done bool, err error) {
	r := RebuildRequest{Tenant: key.Tenant, Day: key.Day, Hour: key.Hour, Origin: o}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		done = false
		if _, err := lockOpenDay(ctx, tx, key.Tenant, key.Day); err != nil {
			return err
		}
		var failed int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3 AND state = 'failed'`,
			key.Tenant, key.Day, key.Hour).Scan(&failed)
		if err != nil || failed == 0 {
			return err
		}
		due, err := c.rebuild(ctx, tx, key.Tenant, key.Day, key.Hour, false)
		if err != nil {
			return err
		}
		done = true
		return r.audit(ctx, tx, ActionRetry, due)
	})
	return done && err == nil, err
}

func (r RebuildRequest) audit(ctx context.Context, tx *db.Tx, action string, due int) error {
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return err
	}
	d := rebuildDetail{Day: r.Day, Force: r.Force, Due: due, Origin: r.Origin}
	if r.Hour >= 0 {
		d.Hour = domain.HourKey{Hour: r.Hour}.HH()
	}
	return r.Origin.Append(ctx, tx, at, r.Tenant, action, d)
}

// SetFeature switches a tenant's feature, with a line in the audit log. Errors: KindNotFound for
// an unknown tenant or feature.
func (c *Catalog) SetFeature(ctx context.Context, tenant, feature string, on bool, o audit.Origin) (domain.Tenant, error) {
	if err := new(domain.Tenant).SetFeature(feature, on); err != nil {
		return domain.Tenant{}, err
	}
	return c.SetTenant(ctx, tenant, func(t *domain.Tenant) { _ = t.SetFeature(feature, on) }, o) // it exists
}
