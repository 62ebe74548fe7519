package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// tenantEvents is how many lines of the audit log a tenant's page shows.
const tenantEvents = 50

type tenantPage struct {
	Tenant     domain.Tenant
	Path       string
	Features   []featureSwitch
	Days       []tenantDay
	Webhooks   []webhookRow
	Deliveries []deliveryRow
	Events     []event
}

type featureSwitch struct {
	Name, About string
	On          bool
	Switch      string // address of the page that asks before it switches
}

type tenantDay struct {
	calendarCell
	catalog.CalendarDay
}

func featureAbout(name string) string {
	if name == domain.FeatureRecordings {
		return "Nightly archives, the day's links and downloads."
	}
	return "Bulk export of conversations and messages."
}

func switches(t domain.Tenant) (list []featureSwitch) {
	for _, name := range domain.Features() {
		on := name == domain.FeatureRecordings && t.Recordings || name == domain.FeatureExport && t.Export
		list = append(list, featureSwitch{name, featureAbout(name), on, tenantPath(t.ID) + "/features/" + name + "/" + onOff(!on)})
	}
	return list
}

// showTenant is GET /admin/tenants/{tenant}.
func (h *handler) showTenant(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	t, err := h.deps.Catalog.Tenant(ctx, chi.URLParam(r, "tenant"))
	if err != nil {
		h.broken(w, r, "read the tenant", err)
		return
	}
	last := domain.DayOf(h.deps.Now())
	// The calendar with the tenant's id as its prefix begins with the tenant itself.
	found, err := h.deps.Catalog.Calendar(ctx, catalog.CalendarQuery{Prefix: t.ID, Limit: 1, From: last.Add(1 - calendarDays), To: last})
	if err != nil {
		h.broken(w, r, "read the tenant's days", err)
		return
	}
	events, err := h.deps.Catalog.LatestAudit(ctx, t.ID, "", -1, tenantEvents)
	if err != nil {
		h.broken(w, r, "read the tenant's audit log", err)
		return
	}
	webhooks, deliveries, err := h.webhooks(ctx, t.ID)
	if err != nil {
		h.broken(w, r, "read the tenant's webhooks", err)
		return
	}
	page := tenantPage{Tenant: t, Path: tenantPath(t.ID), Features: switches(t), Webhooks: webhooks, Deliveries: deliveries, Events: eventLines(events)}
	for i := range calendarDays {
		day := last.Add(-i)
		if len(found.Tenants) == 0 || found.Tenants[0].ID != t.ID {
			break
		}
		if counts, known := found.Tenants[0].Days[day]; known {
			page.Days = append(page.Days, tenantDay{dayCell(t.ID, day, counts, true, found.Now), counts})
		}
	}
	h.render(w, r, http.StatusOK, "tenant", view{Title: "Tenant " + t.ID, Nav: "calendar", Data: page})
}

type tenantJSON struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Features      []string `json:"features"`
	RetentionDays int      `json:"retentionDays"`
	DayLimit      int      `json:"dayLimit"`
	DownloadLimit int      `json:"downloadLimit"`
	KeyPrefix     string   `json:"keyPrefix"`
	CreatedAt     string   `json:"createdAt"`
}

func tenantAnswer(t domain.Tenant) tenantJSON {
	out := tenantJSON{ID: t.ID, Name: t.Name, Features: []string{}, RetentionDays: t.RetentionDays, DayLimit: t.DayLimit,
		DownloadLimit: t.DownloadLimit, KeyPrefix: t.KeyPrefix, CreatedAt: web.Time(t.Created)}
	for _, f := range switches(t) {
		if f.On {
			out.Features = append(out.Features, f.Name)
		}
	}
	return out
}

type tenantsJSON struct {
	Tenants []tenantJSON `json:"tenants"`
	Next    *string      `json:"next"`
}

// getTenants is GET /api/admin/v1/tenants.
func (h *handler) getTenants(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	q, err := web.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.brokenJSON(w, r, "read the query", err)
		return
	}
	after, _, err := q.Text("after", 64)
	if err != nil {
		h.brokenJSON(w, r, "read the query", err)
		return
	}
	limit, err := intOr(q, "limit", calendarTenants, maxTenants)
	if err != nil {
		h.brokenJSON(w, r, "read the query", err)
		return
	}
	list, err := h.deps.Catalog.Tenants(ctx, after, limit+1)
	if err != nil {
		h.brokenJSON(w, r, "list the tenants", err)
		return
	}
	out := tenantsJSON{Tenants: []tenantJSON{}}
	if len(list) > limit {
		list = list[:limit]
		out.Next = &list[limit-1].ID
	}
	for _, t := range list {
		out.Tenants = append(out.Tenants, tenantAnswer(t))
	}
	web.JSON(w, r, http.StatusOK, out)
}

// getTenant is GET /api/admin/v1/tenants/{tenant}.
func (h *handler) getTenant(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	t, err := h.deps.Catalog.Tenant(ctx, chi.URLParam(r, "tenant"))
	if err != nil {
		h.brokenJSON(w, r, "read the tenant", err)
		return
	}
	web.JSON(w, r, http.StatusOK, tenantAnswer(t))
}
