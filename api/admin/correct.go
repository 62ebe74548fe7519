package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/ingest"
)

// postCorrection is POST /api/admin/v1/tenants/{tenant}/recordings/correct. The object key is in
// the body, because it has slashes.
func (h *handler) postCorrection(r *http.Request) (any, error) {
	if err := h.writable(); err != nil {
		return nil, err
	}
	text, err := web.Body(r, web.MaxBody)
	if err != nil {
		return nil, err
	}
	c, err := ingest.ParseCorrection(text)
	if err != nil {
		return nil, err
	}
	c.Tenant, c.Origin = chi.URLParam(r, "tenant"), origin(r)
	return h.deps.Catalog.Correct(r.Context(), c)
}
