package catalog

import (
	"context"
	"database/sql"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// tenantColumns lists the columns that tenantFields scans.
func tenantColumns() string {
	columns := []string{"id", "created_us", "ends_from_us", "closed_us"}
	for _, s := range domain.Settings() {
		columns = append(columns, s.Column)
	}
	return strings.Join(columns, ", ")
}

// tenantFields gives the destinations of tenantColumns.
func tenantFields(t *domain.Tenant) []any {
	fields := []any{&t.ID, db.Time(&t.Created), db.Time(&t.EndsFrom), db.Time(&t.Closed)}
	for _, s := range domain.Settings() {
		fields = append(fields, s.Field(t))
	}
	return fields
}

func scanTenant(row interface{ Scan(...any) error }) (t domain.Tenant, err error) {
	err = row.Scan(tenantFields(&t)...)
	return t, err
}

// Tenant reads one tenant. Error: KindNotFound.
func (c *Catalog) Tenant(ctx context.Context, id string) (domain.Tenant, error) {
	t, err := scanTenant(c.db.QueryRowContext(ctx, tenantSQL(), id))
	return t, unknownTenant(err, id)
}

func tenantSQL() string { return `SELECT ` + tenantColumns() + ` FROM tenants WHERE id = $1` }

func unknownTenant(err error, id string) error {
	return db.NotFound(err, "tenant %.70q does not exist; see: callvault tenant list", id)
}

// Tenants lists all tenants by id, after the given one: at most limit.
func (c *Catalog) Tenants(ctx context.Context, after string, limit int) ([]domain.Tenant, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (domain.Tenant, error) { return scanTenant(rows) },
		`SELECT `+tenantColumns()+` FROM tenants WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// Actions of the audit log.
const (
	ActionCreate = "tenant.create" // a tenant was made
	ActionTenant = "tenant.set"    // a tenant was changed
)

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
	changed := map[string]fromTo{}
	for _, s := range domain.Settings() {
		if was, is := s.Value(before), s.Value(after); was != is {
			changed[s.Name] = fromTo{was, is}
		}
	}
	return changed
}
