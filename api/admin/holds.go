package admin

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
)

// Holds reads and changes legal holds. Errors: KindNotFound, KindInvalid, KindConflict for a name
// that an active hold has, KindUnavailable.
type Holds interface {
	HoldsOf(ctx context.Context, tenant string) ([]holds.Hold, error)
	CreateHold(ctx context.Context, o holds.Order, by audit.Origin) (catalog.HoldResult, error)
	ReleaseHold(ctx context.Context, tenant, name, reason string, by audit.Origin) (holds.Hold, error)
}

// getHolds is GET …/holds.
func (h *handler) getHolds(r *http.Request) (any, error) {
	tenant := chi.URLParam(r, "tenant")
	if _, err := h.deps.Catalog.Tenant(r.Context(), tenant); err != nil {
		return nil, err
	}
	list, err := h.deps.Catalog.HoldsOf(r.Context(), tenant)
	return map[string]any{"holds": append([]holds.Hold{}, list...)}, err
}

// postHold is POST …/holds.
func (h *handler) postHold(r *http.Request) (any, error) {
	var o holds.Order
	if err := h.readChange(r, &o); err != nil {
		return nil, err
	}
	o.Tenant = chi.URLParam(r, "tenant")
	return h.deps.Catalog.CreateHold(r.Context(), o, origin(r))
}

// postRelease is POST …/holds/release. The name is in the body, because it may have slashes.
func (h *handler) postRelease(r *http.Request) (any, error) {
	var body struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	}
	if err := h.readChange(r, &body); err != nil {
		return nil, err
	}
	return h.deps.Catalog.ReleaseHold(r.Context(), chi.URLParam(r, "tenant"), body.Name, body.Reason, origin(r))
}
