package admin

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/ingest"
)

// postCorrection is POST /api/admin/v1/tenants/{tenant}/recordings/correct. The object key is in
// the body, because it has slashes.
func (h *handler) postCorrection(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	done, err := h.correct(ctx, r)
	if err != nil {
		h.brokenJSON(w, r, "correct a recording", err)
		return
	}
	web.JSON(w, r, http.StatusOK, done)
}

// correct makes a correction. Errors as of ingest.ParseCorrection and catalog.Correct,
// KindForbidden.
func (h *handler) correct(ctx context.Context, r *http.Request) (catalog.Corrected, error) {
	if err := h.writable(); err != nil {
		return catalog.Corrected{}, err
	}
	text, err := web.Body(r, web.MaxBody)
	if err != nil {
		return catalog.Corrected{}, err
	}
	k, err := ingest.ParseCorrection(text)
	if err != nil {
		return catalog.Corrected{}, err
	}
	k.Tenant, k.Origin = chi.URLParam(r, "tenant"), origin(r)
	return h.deps.Catalog.Correct(ctx, k)
}
