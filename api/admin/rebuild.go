package admin

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// rebuildRequest reads from the path which hours a request is about: one, or all of a day. Error:
// KindInvalid.
func rebuildRequest(r *http.Request) (catalog.RebuildRequest, error) {
	req := catalog.RebuildRequest{Tenant: chi.URLParam(r, "tenant"), Hour: -1, Origin: origin(r)}
	var err error
	if req.Day, err = domain.ParseDay(chi.URLParam(r, "day")); err != nil {
		return req, err
	}
	if chi.URLParam(r, "hour") != "" {
		req.Hour, err = hourParam(r)
	}
	return req, err
}

// pageOf gives the page of a day or an hour, and how to name it.
func pageOf(req catalog.RebuildRequest) (page, words string) {
	key := domain.HourKey{Tenant: req.Tenant, Day: req.Day, Hour: req.Hour}
	if req.Hour < 0 {
		return dayPath(req.Tenant, req.Day), string(req.Day) + " of " + req.Tenant
	}
	return hourPath(key), string(req.Day) + ", hour " + key.HH() + " of " + req.Tenant
}

// rebuild makes hours due. Errors as of Actions, KindForbidden.
func (h *handler) rebuild(ctx context.Context, req catalog.RebuildRequest) (int, error) {
	if err := h.writable(); err != nil {
		return 0, err
	}
	due, err := h.deps.Catalog.Rebuild(ctx, req)
	if err == nil && due > 0 {
		h.dispatch(ctx)
	}
	return due, err
}

// dispatch dispatches due hours at once, even if the browser is gone. If it fails, the scheduler
// dispatches them a little later.
func (h *handler) dispatch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	if _, err := h.deps.Planner.DispatchPass(ctx); err != nil {
		h.deps.Log.Warn("hours are due but could not be dispatched yet", telemetry.In(ctx), zap.Error(err))
	}
}

// askRebuild is GET …/rebuild of a day or an hour.
func (h *handler) askRebuild(r *http.Request) (answer, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return answer{}, err
	}
	back, words := pageOf(req)
	return h.ask(question{Heading: "Rebuild " + words + "?", Button: "Rebuild", Back: back,
		Text: "Links that were issued keep the revision they name. The tenant sees the new one when it is whole.",
		Choice: &choice{Legend: "Which hours", Name: "hours", Options: []option{
			{"waiting", "Only what waits: failed hours, and those with new recordings"},
			{"all", "Complete hours too: each gets another revision"}}}})
}

// doRebuild is POST …/rebuild.
func (h *handler) doRebuild(r *http.Request) (answer, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return answer{}, err
	}
	req.Force = r.PostFormValue("hours") == "all"
	due, err := h.rebuild(r.Context(), req)
	back, _ := pageOf(req)
	return done(back, "rebuild", due), err
}

// postRebuild is POST …/rebuild of the API.
func (h *handler) postRebuild(r *http.Request) (any, error) {
	req, err := rebuildRequest(r)
	if err != nil {
		return nil, err
	}
	var body struct {
		Force bool `json:"force"`
	}
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	req.Force = body.Force
	due, err := h.rebuild(r.Context(), req)
	return map[string]int{"due": due}, err
}
