package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// tenantEndsJSON is a tenant whose source retention was set.
type tenantEndsJSON struct {
	domain.TenantJSON
	Ends *catalog.EndCounts `json:"ends,omitempty"` // what ends by a shorter source retention
}

// putSourceRetention is PUT /api/admin/v1/tenants/{tenant}/source-retention.
func (h *handler) putSourceRetention(r *http.Request) (any, error) {
	var body struct {
		Days    *int `json:"days"`
		Confirm bool `json:"confirm"`
	}
	if err := h.readChange(r, &body); err != nil {
		return nil, err
	}
	if body.Days == nil {
		return nil, domain.Errorf(domain.KindInvalid, "days is missing; use a number, 0 to keep conversations for ever")
	}
	ctx, id := r.Context(), chi.URLParam(r, "tenant")
	t, err := h.deps.Catalog.Tenant(ctx, id)
	if err != nil {
		return nil, err
	}
	before := t.SourceRetentionDays
	change := func(t *domain.Tenant) { t.SourceRetentionDays = *body.Days }
	change(&t)
	if err := t.Check(); err != nil {
		return nil, err
	}
	if !domain.Shortens(before, t.SourceRetentionDays) {
		t, err = h.deps.Catalog.SetTenant(ctx, id, change, origin(r))
		return tenantEndsJSON{TenantJSON: t.JSON()}, err
	}
	ends, err := h.deps.Catalog.CountEnds(ctx, id, *body.Days)
	if err != nil {
		return nil, err
	}
	if !body.Confirm {
		return nil, domain.Errorf(domain.KindConflict, "%s; nothing is changed. If that is meant, send confirm with true", ends.Text(*body.Days))
	}
	t, err = h.deps.Catalog.SetTenantConfirmed(ctx, id, change, ends, origin(r))
	return tenantEndsJSON{t.JSON(), &ends}, err
}

// tenantClosedJSON is a tenant that was closed.
type tenantClosedJSON struct {
	domain.TenantJSON
	Ended catalog.Closed `json:"ended"`
}

// reason is the body of a request that needs a reason.
type reason struct {
	Reason  string `json:"reason"`
	Confirm bool   `json:"confirm"`
}

// postClose is POST /api/admin/v1/tenants/{tenant}/close.
func (h *handler) postClose(r *http.Request) (any, error) {
	var body reason
	if err := h.readChange(r, &body); err != nil {
		return nil, err
	}
	ctx, id := r.Context(), chi.URLParam(r, "tenant")
	if _, err := h.deps.Catalog.Tenant(ctx, id); err != nil {
		return nil, err
	}
	if !body.Confirm {
		return nil, domain.Errorf(domain.KindConflict, "closing %s ends its credentials, tokens and links at once; nothing is changed. If that is meant, send confirm with true", id)
	}
	ended, err := h.deps.Catalog.CloseTenant(ctx, id, body.Reason, origin(r))
	if err != nil {
		return nil, err
	}
	t, err := h.deps.Catalog.Tenant(ctx, id)
	return tenantClosedJSON{t.JSON(), ended}, err
}

// postOpen is POST /api/admin/v1/tenants/{tenant}/open.
func (h *handler) postOpen(r *http.Request) (any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := h.readChange(r, &body); err != nil {
		return nil, err
	}
	ctx, id := r.Context(), chi.URLParam(r, "tenant")
	if err := h.deps.Catalog.OpenTenant(ctx, id, body.Reason, origin(r)); err != nil {
		return nil, err
	}
	t, err := h.deps.Catalog.Tenant(ctx, id)
	return t.JSON(), err
}

// deleteTenant is DELETE /api/admin/v1/tenants/{tenant}.
func (h *handler) deleteTenant(r *http.Request) (any, error) {
	if err := h.writable(); err != nil {
		return nil, err
	}
	id := chi.URLParam(r, "tenant")
	return map[string]string{"deleted": id}, h.deps.Catalog.DeleteTenant(r.Context(), id, origin(r))
}
