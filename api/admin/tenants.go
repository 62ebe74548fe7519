package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

// tenantEvents is how many lines of the audit log a tenant's page shows.
const tenantEvents = 50

type tenantPage struct {
	Tenant     domain.Tenant
	Incomplete bool // only incomplete days are listed
	Features   []featureSwitch
	Days       []tenantDay
	Holds      []holds.Hold
	Webhooks   []outbox.Endpoint
	Deliveries []deliveryRow
	Events     []event
}

type tenantDay struct {
	calendarCell
	catalog.CalendarDay
}

// showTenant is GET /admin/tenants/{tenant}.
func (h *handler) showTenant(r *http.Request) (answer, error) {
	q, err := web.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return answer{}, err
	}
	incomplete, err := flag(q, "incomplete")
	if err != nil {
		return answer{}, err
	}
	last := domain.DayOf(h.deps.Now())
	found, err := h.deps.Catalog.TenantDays(r.Context(), chi.URLParam(r, "tenant"), last.Add(1-calendarDays), last)
	if err != nil {
		return answer{}, web.Step("read the tenant's days", err)
	}
	row := found.Tenants[0]
	t := row.Tenant
	events, err := h.deps.Catalog.LatestAudit(r.Context(), t.ID, "", -1, tenantEvents)
	if err != nil {
		return answer{}, web.Step("read the tenant's audit log", err)
	}
	held, err := h.deps.Catalog.HoldsOf(r.Context(), t.ID)
	if err != nil {
		return answer{}, web.Step("read the tenant's holds", err)
	}
	webhooks, deliveries, err := h.webhooks(r.Context(), t.ID)
	if err != nil {
		return answer{}, web.Step("read the tenant's webhooks", err)
	}
	page := tenantPage{Tenant: t, Incomplete: incomplete, Features: switches(t), Holds: held, Webhooks: webhooks, Deliveries: deliveries, Events: eventLines(events, true)}
	for i := range calendarDays {
		day := last.Add(-i)
		if counts, known := row.Days[day]; known && (!incomplete || counts.Incomplete(t, found.Now)) {
			page.Days = append(page.Days, tenantDay{dayCell(t.ID, day, counts, true, found.Now), counts})
		}
	}
	return answer{page: "tenant", view: view{Title: "Tenant " + t.ID, Nav: "calendar", Data: page}}, nil
}

type tenantsJSON struct {
	Tenants []domain.TenantJSON `json:"tenants"`
	Next    *string             `json:"next"`
}

// getTenants is GET /api/admin/v1/tenants.
func (h *handler) getTenants(r *http.Request) (any, error) {
	q, err := h.tenantQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	list, more, err := h.deps.Catalog.FindTenants(r.Context(), q)
	if err != nil {
		return nil, err
	}
	out := tenantsJSON{Tenants: []domain.TenantJSON{}}
	if more {
		out.Next = &list[len(list)-1].ID
	}
	for _, t := range list {
		out.Tenants = append(out.Tenants, t.JSON())
	}
	return out, nil
}

// getTenant is GET /api/admin/v1/tenants/{tenant}.
func (h *handler) getTenant(r *http.Request) (any, error) {
	t, err := h.deps.Catalog.Tenant(r.Context(), chi.URLParam(r, "tenant"))
	return t.JSON(), err
}
