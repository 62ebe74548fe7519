package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Actions of the audit log about closed tenants.
const (
	ActionClose  = "tenant.close"  // its credentials ended, and nothing is taken in for it any more
	ActionOpen   = "tenant.open"   // it was opened again
	ActionDelete = "tenant.delete" // nothing of it is left, and its id is never used again
)

// Closed says what closing a tenant ended.
type Closed struct {
	Applications int `json:"applications"`
	APIKeys      int `json:"apiKeys"`
	Webhooks     int `json:"webhooks"`
}

type closeDetail struct {
	Reason string `json:"reason"`
	*Closed
	audit.Origin
}

// CloseTenant ends the tenant's credentials, with the tokens and links that they got, and disables
// its webhooks. What it has is archived and ends as before. Errors: KindNotFound, KindInvalid
// without a reason, KindConflict for a closed tenant.
func (c *Catalog) CloseTenant(ctx context.Context, id, reason string, o audit.Origin) (out Closed, err error) {
	err = c.closeOrOpen(ctx, id, reason, func(tx *db.Tx, t domain.Tenant, at int64) error {
		if !t.Closed.IsZero() {
			return domain.Errorf(domain.KindConflict, "tenant %s was closed on %s already", id, domain.DayOf(t.Closed))
		}
		out = Closed{}
		for _, end := range []struct {
			n     *int
			query string
		}{
			{new(int), `UPDATE tenants SET closed_us = $2 WHERE id = $1`},
			{&out.Applications, `UPDATE applications SET epoch = epoch + 1, disabled_us = $2 WHERE tenant = $1 AND disabled_us IS NULL`},
			{&out.APIKeys, `UPDATE api_keys SET epoch = epoch + 1, disabled_us = $2 WHERE tenant = $1 AND disabled_us IS NULL`},
			{&out.Webhooks, `UPDATE webhook_endpoints SET disabled_us = $2, disabled_reason = 'the tenant is closed' WHERE tenant = $1 AND disabled_us IS NULL`},
		} {
			res, err := tx.ExecContext(ctx, end.query, id, at)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			*end.n = int(n)
		}
		return o.Append(ctx, tx, at, id, ActionClose, closeDetail{reason, &out, o})
	})
	return out, err
}

// OpenTenant opens a closed tenant again. Its credentials and webhooks stay disabled until somebody
// enables them; what they had got stays void. Errors as of CloseTenant.
func (c *Catalog) OpenTenant(ctx context.Context, id, reason string, o audit.Origin) error {
	return c.closeOrOpen(ctx, id, reason, func(tx *db.Tx, t domain.Tenant, at int64) error {
		if t.Closed.IsZero() {
			return domain.Errorf(domain.KindConflict, "tenant %s is not closed", id)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE tenants SET closed_us = NULL WHERE id = $1`, id); err != nil {
			return err
		}
		return o.Append(ctx, tx, at, id, ActionOpen, closeDetail{Reason: reason, Origin: o})
	})
}

// closeOrOpen runs change in a transaction that has the tenant's exclusive lock, if there is a
// reason.
func (c *Catalog) closeOrOpen(ctx context.Context, id, reason string, change func(tx *db.Tx, t domain.Tenant, at int64) error) error {
	if reason == "" {
		return domain.Errorf(domain.KindInvalid, "the reason is missing; give one, the audit log keeps it")
	}
	return c.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.ExcludeAll(ctx, tx, id); err != nil { // waits for what is being taken in
			return err
		}
		t, err := scanTenant(tx.QueryRowContext(ctx, tenantSQL(), id))
		if err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return change(tx, t, at)
	})
}

// left lists what a deleted tenant may not have any more, with the queries that count it.
func left() []struct{ one, many, query string } {
	return []struct{ one, many, query string }{
		{"active hold", "active holds", `SELECT count(*) FROM holds WHERE tenant = $1 AND released_us IS NULL`},
		{"conversation", "conversations", `SELECT count(*) FROM conversations WHERE tenant = $1`},
		{"conversation that is ending", "conversations that are ending", `SELECT count(*) FROM endings WHERE tenant = $1`},
		{"recording", "recordings", `SELECT count(*) FROM recordings WHERE tenant = $1`},
		{"object key", "object keys", `SELECT count(*) FROM objects WHERE tenant = $1`},
		{"object that is being deleted", "objects that are being deleted", `SELECT count(*) FROM deletions WHERE tenant = $1`},
		{"archive", "archives", `SELECT count(*) FROM archives WHERE tenant = $1`},
		{"unfinished erasure", "unfinished erasures", `SELECT count(*) FROM erasures WHERE tenant = $1 AND state <> 'proven'`},
	}
}

// goingTables are the tables whose rows are deleted with their tenant. The audit log, and the rows
// of holds and erasures, stay.
func goingTables() []string {
	return []string{"window_uses", "windows", "failed_files", "faults", "hours", "totals", "days", "agents", "messages", "transcripts", "history",
		"erased", "erased_recordings", "webhook_deliveries", "webhook_events", "webhook_endpoints", "applications", "api_keys"}
}

// DeleteTenant deletes a closed tenant of which nothing is left but its settings, agents, days
// without archives, credentials and webhooks. Its id is never used again, and its audit log stays.
// Errors: KindNotFound, KindConflict for a tenant that is open or has something left.
func (c *Catalog) DeleteTenant(ctx context.Context, id string, o audit.Origin) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.ExcludeAll(ctx, tx, id); err != nil {
			return err
		}
		t, err := scanTenant(tx.QueryRowContext(ctx, tenantSQL(), id))
		if err != nil {
			return err
		}
		if t.Closed.IsZero() {
			return domain.Errorf(domain.KindConflict, "tenant %s is open; close it first: callvault tenant close %s --reason …", id, id)
		}
		if err := refuseLeft(ctx, tx, t); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM webhook_attempts WHERE delivery IN (SELECT id FROM webhook_deliveries WHERE tenant = $1)`, id)
		if err != nil {
			return err
		}
		for _, table := range goingTables() {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE tenant = $1`, id); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM tenants WHERE id = $1`, id); err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO retired_tenants (id, retired_us) VALUES ($1, $2)`, id, at); err != nil {
			return err
		}
		if t.KeyPrefix != "" {
			if _, err := tx.ExecContext(ctx, `INSERT INTO left_prefixes (key_prefix, tenant, left_us) VALUES ($1, $2, $3)`, t.KeyPrefix, id, at); err != nil {
				return err
			}
		}
		return o.Append(ctx, tx, at, id, ActionDelete, o)
	})
}

// refuseLeft says what a tenant has left, and how that can end.
func refuseLeft(ctx context.Context, tx *db.Tx, t domain.Tenant) error {
	var list []string
	for _, l := range left() {
		var n int
		if err := tx.QueryRowContext(ctx, l.query, t.ID).Scan(&n); err != nil {
			return err
		}
		switch {
		case n == 1:
			list = append(list, "1 "+l.one)
		case n > 1:
			list = append(list, fmt.Sprintf("%d %s", n, l.many))
		}
	}
	if len(list) == 0 {
		return nil
	}
	help := fmt.Sprintf("conversations end by its source retention of %s, archives by its retention, and what a hold covers a day after its release", english.Plural(t.SourceRetentionDays, "day", ""))
	if t.SourceRetentionDays == 0 {
		help = fmt.Sprintf("its source retention keeps conversations for ever; set one: callvault tenant set %s --source-retention-days N", t.ID)
	}
	until, err := holds.CoverUntil(ctx, tx, t.ID)
	if err != nil {
		return err
	}
	if !until.IsZero() {
		help += "; a released hold covers until " + until.Format(time.RFC3339)
	}
	return domain.Errorf(domain.KindConflict, "tenant %s has %s left; %s", t.ID, strings.Join(list, ", "), help)
}

// refuseRetired refuses the id of a deleted tenant.
func refuseRetired(ctx context.Context, tx *db.Tx, id string) error {
	var at int64
	err := tx.QueryRowContext(ctx, `SELECT retired_us FROM retired_tenants WHERE id = $1`, id).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return domain.Errorf(domain.KindConflict, "tenant %s was deleted on %s, and its id is never used again; choose another one", id, domain.DayOf(db.FromMicros(at)))
}

// TenantOrRetired says whether there is a tenant of this id, or was one. Error: KindNotFound.
func (c *Catalog) TenantOrRetired(ctx context.Context, id string) error {
	var one int
	err := c.db.QueryRowContext(ctx, `SELECT 1 FROM tenants WHERE id = $1 UNION ALL SELECT 1 FROM retired_tenants WHERE id = $1`, id).Scan(&one)
	return unknownTenant(err, id)
}

// tenantState is what decides whether something is taken in for a tenant.
type tenantState struct {
	closed   bool
	erasures int64 // how many of its conversations were erased
}

// requireTenant finds a tenant, and keeps it from being deleted and its conversations from being
// erased until the transaction ends.
func requireTenant(ctx context.Context, tx *db.Tx, tenant string) (t tenantState, err error) {
	lock := ""
	if tx.Postgres() {
		lock = " FOR KEY SHARE"
	}
	err = tx.QueryRowContext(ctx, `SELECT closed_us IS NOT NULL, erased FROM tenants WHERE id = $1`+lock, tenant).Scan(&t.closed, &t.erasures)
	return t, db.NotFound(err, "tenant %.70q does not exist", tenant)
}

// requireOpen is requireTenant for what a closed tenant may not do any more. Error: KindForbidden.
func requireOpen(ctx context.Context, tx *db.Tx, tenant string) (erasures int64, err error) {
	t, err := requireTenant(ctx, tx, tenant)
	if err == nil && t.closed {
		err = domain.Errorf(domain.KindForbidden, "tenant %s is closed: nothing is taken in for it any more", tenant)
	}
	return t.erasures, err
}
