package admin

import (
	"context"
	"net/http"

	"github.com/callvault/callvault/internal/catalog"
)

// reopen grants a day another retention period and makes its hours due, as the command archive
// --reopen does. Errors as of Actions, KindForbidden.
func (h *handler) reopen(ctx context.Context, req catalog.RebuildRequest) (due int, err error) {
	if err := h.writable(); err != nil {
		return 0, err
	}
	if err := h.deps.Catalog.Reopen(ctx, req.Tenant, req.Day, req.Origin); err != nil {
		return 0, err
	}
	return h.rebuild(ctx, req)
}

// askReopen is GET …/reopen of a day.
func (h *handler) askReopen(r *http.Request) (answer, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return answer{}, err
	}
	back, words := pageOf(req)
	return h.ask(question{Heading: "Reopen " + words + "?", Button: "Reopen", Back: back,
		Text: "The day gets another retention period, counted from now. Its hours are built again from all recordings that are kept, " +
			"those that came too late included, and the tenant can fetch them. Links of before stay ended."})
}

// doReopen is POST …/reopen.
func (h *handler) doReopen(r *http.Request) (answer, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return answer{}, err
	}
	due, err := h.reopen(r.Context(), req)
	back, _ := pageOf(req)
	return done(back, "reopen", due), err
}

// postReopen is POST …/reopen of the API.
func (h *handler) postReopen(r *http.Request) (any, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return nil, err
	}
	due, err := h.reopen(r.Context(), req)
	return map[string]int{"due": due}, err
}
