package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// tenantDetail is the detail of a tenant's line in the audit log: all settings of a new tenant, or
// the changed ones with the values before and after.
type tenantDetail struct {
	Settings map[string]any     `json:"settings,omitempty"`
	Changed  *map[string]fromTo `json:"changed,omitempty"`
	Ended    []endedDay         `json:"endedDays,omitempty"` // days that a change of the retention ended
	Ends     *EndCounts         `json:"ends,omitempty"`      // what ends by a shorter source retention, as counted when it was set
	EndsFrom *time.Time         `json:"endsFrom,omitempty"`  // when it begins to
	audit.Origin
}

type endedDay struct {
	Day domain.Day `json:"day"`
}

// CreateTenant adds a tenant. Errors: KindInvalid, KindConflict when the id is taken or the key
// prefix can't be the tenant's.
func (c *Catalog) CreateTenant(ctx context.Context, t domain.Tenant, o audit.Origin) (domain.Tenant, error) {
	if err := t.Check(); err != nil {
		return t, err
	}
	if t.KeyPrefix != "" { // as far as that needs no lock
		if err := checkNoForeignKeys(ctx, c.db, t.ID, t.KeyPrefix); err != nil {
			return t, err
		}
	}
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		if err := c.checkFirstPrefix(ctx, tx, t.ID, t.KeyPrefix); err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		t.Created = db.FromMicros(at)
		values := []any{t.ID, at, nil, nil}
		for _, s := range domain.Settings() {
			values = append(values, s.Value(t))
		}
		ok, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO tenants (`+tenantColumns()+`) VALUES (`+db.Parameters(1, len(values))+`) ON CONFLICT (id) DO NOTHING`, values...))
		if err != nil {
			return err
		}
		if !ok {
			return domain.Errorf(domain.KindConflict, "tenant %s exists already; change it with: callvault tenant set %s", t.ID, t.ID)
		}
		if err := refuseRetired(ctx, tx, t.ID); err != nil { // the INSERT has waited for a deletion of the tenant
			return err
		}
		return o.Append(ctx, tx, at, t.ID, ActionCreate, tenantDetail{Settings: settings(t), Origin: o})
	})
	return t, err
}

// SetTenant changes a tenant: change gets the present tenant and edits it. Days that are past the
// old or the new retention end in the same transaction, and floor_us ends those that have no row.
// So a longer retention never brings an ended day back. Errors: KindNotFound, KindInvalid,
// KindConflict for a key prefix that can't be the tenant's and for a shorter source retention,
// KindUnavailable for a change of the retention that would end days while the clock is not trusted.
func (c *Catalog) SetTenant(ctx context.Context, id string, change func(*domain.Tenant), o audit.Origin) (domain.Tenant, error) {
	return c.changeTenant(ctx, id, change, nil, o)
}

// SetTenantConfirmed is SetTenant for a change that may shorten the source retention. ends is what
// ends by that, as it was shown to whoever confirmed it; see [Catalog.CountEnds].
func (c *Catalog) SetTenantConfirmed(ctx context.Context, id string, change func(*domain.Tenant), ends EndCounts, o audit.Origin) (domain.Tenant, error) {
	return c.changeTenant(ctx, id, change, &ends, o)
}

func (c *Catalog) changeTenant(ctx context.Context, id string, change func(*domain.Tenant), ends *EndCounts, o audit.Origin) (t domain.Tenant, err error) {
	err = c.withPendingPrefix(ctx, id, change, func(tx *db.Tx) (err error) {
		t, err = c.setTenant(ctx, tx, id, change, ends, o)
		return err
	})
	return t, err
}

func (c *Catalog) setTenant(ctx context.Context, tx *db.Tx, id string, change func(*domain.Tenant), ends *EndCounts, o audit.Origin) (domain.Tenant, error) {
	// Without this lock, one of two changes at the same time would be lost. It may be taken before
	// the days' locks, because no other transaction locks a tenant's row after a day's.
	t, err := scanTenant(tx.QueryRowContext(ctx, `UPDATE tenants SET name = name WHERE id = $1 RETURNING `+tenantColumns(), id))
	if err != nil {
		return t, unknownTenant(err, id)
	}
	before := t
	change(&t)
	t.ID = id
	if err := t.Check(); err != nil {
		return t, err
	}
	if before.KeyPrefix != t.KeyPrefix {
		if err := c.commitPrefix(ctx, tx, id, t.KeyPrefix); err != nil {
			return t, err
		}
	}
	var ended []endedDay
	if before.RetentionDays != t.RetentionDays {
		if ended, err = endDays(ctx, tx, id, min(before.RetentionDays, t.RetentionDays)); err != nil {
			return t, err
		}
	}
	backfill := 0 // past days without recordings are to be planned
	if t.Recordings && !before.Recordings || t.RetentionDays > before.RetentionDays {
		backfill = 1
	}
	from, err := endsFrom(ctx, tx, before, t, ends)
	if err != nil {
		return t, err
	}
	t.EndsFrom = from
	set, values := "", []any{id, backfill, nil}
	if !from.IsZero() {
		values[2] = db.Micros(from)
	}
	for _, s := range domain.Settings() {
		values = append(values, s.Value(t))
		set += fmt.Sprintf("%s = $%d, ", s.Column, len(values))
	}
	if _, err = tx.ExecContext(ctx, `UPDATE tenants SET `+set+`backfill = backfill + $2, ends_from_us = $3 WHERE id = $1`, values...); err != nil {
		return t, err
	}
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return t, err
	}
	changed := changedSettings(before, t)
	d := tenantDetail{Changed: &changed, Ended: ended, Origin: o}
	if !from.IsZero() && !from.Equal(before.EndsFrom) {
		d.Ends, d.EndsFrom = ends, &t.EndsFrom
	}
	return t, o.Append(ctx, tx, at, id, ActionTenant, d)
}

// endsFrom gives when conversations end by the tenant's source retention; zero for one that keeps
// them for ever. One that is shorter than before begins a day later, so that it can be undone. So
// does one with a new key prefix, because objects under it end that callvault did not write.
func endsFrom(ctx context.Context, tx *db.Tx, before, after domain.Tenant, ends *EndCounts) (time.Time, error) {
	if after.SourceRetentionDays == 0 {
		return time.Time{}, nil
	}
	shorter := domain.Shortens(before.SourceRetentionDays, after.SourceRetentionDays)
	prefix := after.KeyPrefix != "" && after.KeyPrefix != before.KeyPrefix
	if !shorter && !prefix {
		return before.EndsFrom, nil
	}
	if shorter && ends == nil {
		return time.Time{}, domain.Errorf(domain.KindConflict, "a source retention of %s ends conversations with their audio; what it ends must be shown and confirmed",
			english.Plural(after.SourceRetentionDays, "day", ""))
	}
	at, err := clock.Now(ctx, tx)
	return db.FromMicros(at).Add(EndsWait), err
}

// refuseEndingDays refuses a change that would end days while the clock is not trusted.
func refuseEndingDays(ctx context.Context, tx *db.Tx, tenant string, retentionDays int) error {
	days, err := daysOver(ctx, tx, tenant, retentionDays)
	if err != nil || len(days) == 0 {
		return err
	}
	return domain.Errorf(domain.KindUnavailable, "this ends days, %s for one, by a clock that stepped or that no scheduler watched; it can be done an hour after one is up", days[0])
}

// daysOver lists the tenant's days that have not ended and are past a retention of the given
// length.
func daysOver(ctx context.Context, tx *db.Tx, tenant string, retentionDays int) ([]domain.Day, error) {
	return db.Collect(ctx, tx, db.Value[domain.Day], `SELECT day FROM days d WHERE tenant = $1 AND expired_us IS NULL AND `+overForSQL+`CAST($2 AS BIGINT)`+daysInMicrosSQL+` ORDER BY day`, tenant, retentionDays)
}

// DaysEndedBy lists the tenant's days that another retention would end at once: those that are past
// it, and not past the present one.
func (c *Catalog) DaysEndedBy(ctx context.Context, tenant string, retentionDays int) ([]domain.Day, error) {
	return db.Collect(ctx, c.db, db.Value[domain.Day], `SELECT d.day FROM tenants t JOIN days d ON d.tenant = t.id WHERE t.id = $1
		AND d.expired_us IS NULL AND `+overForSQL+`CAST($2 AS BIGINT)`+daysInMicrosSQL+` AND NOT (`+pastSQL+`) ORDER BY d.day`, tenant, retentionDays)
}

// endDays ends the tenant's days that are past a retention of the given length, also those that
// have no row. It lists those with a row.
func endDays(ctx context.Context, tx *db.Tx, tenant string, retentionDays int) (ended []endedDay, err error) {
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return nil, err
	}
	paused, err := clock.Paused(ctx, tx, at)
	if err != nil {
		return nil, err
	}
	if paused {
		return nil, refuseEndingDays(ctx, tx, tenant, retentionDays)
	}
	floor := at - domain.Retention(retentionDays).Microseconds()
	_, err = tx.ExecContext(ctx, `UPDATE tenants SET floor_us = $2 WHERE id = $1 AND (floor_us < $2 OR floor_us > $3)`, tenant, floor, at)
	if err != nil {
		return nil, err
	}
	days, err := daysOver(ctx, tx, tenant, retentionDays)
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		d, err := lockDay(ctx, tx, tenant, day)
		if err != nil {
			return nil, err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return nil, err
		}
		d.retentionDays = retentionDays
		if d.expired || at < d.end(day) {
			continue
		}
		if _, err := expireDay(ctx, tx, tenant, day, at); err != nil {
			return nil, err
		}
		ended = append(ended, endedDay{day})
	}
	return ended, nil
}
