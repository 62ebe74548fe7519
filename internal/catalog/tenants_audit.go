package catalog

import (
	"context"

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
	Remote   string             `json:"remote,omitempty"`
	Request  string             `json:"request,omitempty"`
}

type fromTo struct {
	From any `json:"from"`
	To   any `json:"to"`
}

// settings gives a tenant's settings by their names in the admin API.
func settings(t domain.Tenant) map[string]any {
	values := map[string]any{}
	for _, s := range domain.Settings() {
		values[s.Name] = s.Value(t)
	}
	return values
}

// changedSettings gives the settings that differ between two states of a tenant.
func changedSettings(before, after domain.Tenant) map[string]fromTo {
	changed, was := map[string]fromTo{}, settings(before)
	for name, is := range settings(after) {
		if is != was[name] {
			changed[name] = fromTo{was[name], is}
		}
	}
	return changed
}

// CreateTenantAudited is CreateTenant with its line in the audit log.
func (c *Catalog) CreateTenantAudited(ctx context.Context, t domain.Tenant, o audit.Origin) (domain.Tenant, error) {
	if err := c.checkNew(ctx, t); err != nil {
		return t, err
	}
	err := c.db.Update(ctx, func(tx *db.Tx) (err error) {
		if t, err = c.createTenant(ctx, tx, t); err != nil {
			return err
		}
		return o.Append(ctx, tx, db.Micros(t.Created), t.ID, ActionCreate,
			tenantDetail{Settings: settings(t), Remote: o.Remote, Request: o.Request})
	})
	return t, err
}

// SetTenantAudited is SetTenant with its line in the audit log.
func (c *Catalog) SetTenantAudited(ctx context.Context, id string, change func(*domain.Tenant), o audit.Origin) (t domain.Tenant, err error) {
	err = c.withPendingPrefix(ctx, id, change, func(tx *db.Tx) (err error) {
		var before domain.Tenant
		t, err = c.setTenant(ctx, tx, id, func(t *domain.Tenant) {
			before = *t
			change(t)
		})
		if err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		changed := changedSettings(before, t)
		return o.Append(ctx, tx, at, id, ActionTenant, tenantDetail{Changed: &changed, Remote: o.Remote, Request: o.Request})
	})
	return t, err
}
