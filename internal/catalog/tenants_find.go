package catalog

import (
	"context"
	"database/sql"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// TenantQuery asks for a page of tenants, by id.
type TenantQuery struct {
	Search string // what their ids or names contain, whatever the case; "" for all tenants
	After  string // the last id of the page before
	Limit  int

	Incomplete bool       // only tenants with an incomplete day
	From, To   domain.Day // the days that Incomplete looks at, both included
}

// searchedTenants is how many tenants a search reads at a time.
const searchedTenants = 1000

// incompleteDaySQL is true for a day that is not planned, has pending or failed hours, or ended
// incomplete. It is for days that are over. The index days_incomplete has this expression.
const incompleteDaySQL = `(d.planned_us IS NULL OR d.n_pending > 0 OR d.n_failed > 0 OR d.unbuilt > 0 OR d.ended_missing > 0)`

// incompleteTenantSQL is true for tenants t with an incomplete day from $3 to $4. Days that are not
// planned because the tenant's feature is off do not count.
const incompleteTenantSQL = ` AND (EXISTS (SELECT 1 FROM days d WHERE d.tenant = t.id AND d.day >= $3 AND d.day <= $4
		AND ` + incompleteDaySQL + ` AND (t.recordings OR d.planned_us IS NOT NULL))
	OR EXISTS (SELECT 1 FROM days d WHERE d.tenant = t.id AND d.day >= $3 AND d.day <= $4 AND d.short_by > 0)
	OR EXISTS (SELECT 1 FROM archives a WHERE a.tenant = t.id AND a.day >= $3 AND a.day <= $4 AND a.state = 'published' AND a.missing_count > 0)
	OR EXISTS (SELECT 1 FROM hours h WHERE h.tenant = t.id AND h.day >= $3 AND h.day <= $4 AND h.archive IS NOT NULL AND h.wanted <> h.built))`

// findTenantsSQL reads tenants after the id $1, at most $2.
func findTenantsSQL(incomplete bool) string {
	condition := ""
	if incomplete {
		condition = incompleteTenantSQL
	}
	return `SELECT ` + tenantColumns() + ` FROM tenants t WHERE t.id > $1` + condition + ` ORDER BY t.id LIMIT $2`
}

// FindTenants gives a page of tenants. more says that others follow.
func (c *Catalog) FindTenants(ctx context.Context, q TenantQuery) (found []domain.Tenant, more bool, err error) {
	err = c.db.View(ctx, func(tx *db.Tx) error {
		found, more, err = findTenants(ctx, tx, q)
		return err
	})
	return found, more, err
}

// findTenants compares ids and names here, because the databases fold only the case of ASCII
// letters, or each in its own way.
func findTenants(ctx context.Context, tx *db.Tx, q TenantQuery) (found []domain.Tenant, more bool, err error) {
	size := q.Limit + 1
	if q.Search != "" {
		size = searchedTenants
	}
	args := []any{q.After, size}
	if q.Incomplete {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return nil, false, err
		}
		args = append(args, q.From, min(q.To, domain.DayOf(db.FromMicros(at)).Add(-1))) // a day that is not over is not incomplete
	}
	search := folded(q.Search)
	for {
		page, err := db.Collect(ctx, tx, func(rows *sql.Rows) (domain.Tenant, error) { return scanTenant(rows) }, findTenantsSQL(q.Incomplete), args...)
		if err != nil {
			return nil, false, err
		}
		for _, t := range page {
			if search != "" && !strings.Contains(folded(t.ID), search) && !strings.Contains(folded(t.Name), search) {
				continue
			}
			if len(found) == q.Limit {
				return found, true, nil
			}
			found = append(found, t)
		}
		if len(page) < size {
			return found, false, nil
		}
		args[0] = page[len(page)-1].ID
	}
}

// folded makes texts equal that differ only in case, in accents, or in how their letters are
// composed. Accents count for nothing because İ is in lower case an i with a dot of its own.
func folded(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, cases.Fold().String(norm.NFKD.String(text)))
}
