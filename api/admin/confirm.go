package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// question is a page that asks before an action. Its form is sent to the page's own address.
type question struct {
	Heading string
	Text    string
	Button  string
	Choice  *choice // optional
	Back    string
}

// choice is a field with options, the first of which is chosen.
type choice struct {
	Legend, Name string
	Options      []option
}

type option struct{ Value, Label string }

func (h *handler) ask(w http.ResponseWriter, r *http.Request, q question) {
	if err := h.writable(); err != nil {
		h.broken(w, r, "ask", err)
		return
	}
	h.render(w, r, http.StatusOK, "confirm", view{Title: q.Heading, Data: q})
}

// redirectDone redirects the browser to the page of an action. The query holds the action and a
// number, for that page's notice.
func redirectDone(w http.ResponseWriter, r *http.Request, back, what string, n int) {
	http.Redirect(w, r, back+"?done="+what+"&n="+strconv.Itoa(n), http.StatusSeeOther) //nolint:gosec // back begins with /admin/
}

// pageOf gives the page of a day or an hour, and how to name it.
func pageOf(b catalog.RebuildRequest) (page, words string) {
	key := domain.HourKey{Tenant: b.Tenant, Day: b.Day, Hour: b.Hour}
	if b.Hour < 0 {
		return dayPath(b.Tenant, b.Day), string(b.Day) + " of " + b.Tenant
	}
	return hourPath(key), string(b.Day) + ", hour " + key.HH() + " of " + b.Tenant
}

// askRebuild is GET …/rebuild of a day or an hour.
func (h *handler) askRebuild(w http.ResponseWriter, r *http.Request) {
	b, err := rebuildRequest(r)
	if err != nil {
		h.broken(w, r, "read the address", err)
		return
	}
	back, words := pageOf(b)
	h.ask(w, r, question{Heading: "Rebuild " + words + "?", Button: "Rebuild", Back: back,
		Text: "Links that were issued keep the revision they name. The tenant sees the new one when it is whole.",
		Choice: &choice{Legend: "Which hours", Name: "hours", Options: []option{
			{"waiting", "Only what waits: failed hours, and those with new recordings"},
			{"all", "Complete hours too: each gets another revision"}}}})
}

// action is done to a day or an hour. The console and the API read it and answer it differently.
type action struct {
	doing  string                                                 // for the log
	read   func(r *http.Request, b *catalog.RebuildRequest) error // reads what the path does not hold; may be nil
	do     func(ctx context.Context, b catalog.RebuildRequest) (int, error)
	done   func(w http.ResponseWriter, r *http.Request, b catalog.RebuildRequest, n int)
	broken func(w http.ResponseWriter, r *http.Request, doing string, err error)
}

func (a action) serve(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	b, err := rebuildRequest(r)
	if err == nil && a.read != nil {
		err = a.read(r, &b)
	}
	if err != nil {
		a.broken(w, r, "read the request", err)
		return
	}
	n, err := a.do(ctx, b)
	if err != nil {
		a.broken(w, r, a.doing, err)
		return
	}
	a.done(w, r, b, n)
}

// backTo answers an action with a redirect to the page of its day or hour.
func backTo(what string) func(http.ResponseWriter, *http.Request, catalog.RebuildRequest, int) {
	return func(w http.ResponseWriter, r *http.Request, b catalog.RebuildRequest, n int) {
		back, _ := pageOf(b)
		redirectDone(w, r, back, what, n)
	}
}

// doRebuild is POST …/rebuild.
func (h *handler) doRebuild(w http.ResponseWriter, r *http.Request) {
	action{doing: "rebuild", do: h.rebuild, done: backTo("rebuild"), broken: h.broken,
		read: func(r *http.Request, b *catalog.RebuildRequest) error {
			b.Force = r.PostFormValue("hours") == "all"
			return nil
		}}.serve(w, r)
}

// askRetry is GET …/retry of a day.
func (h *handler) askRetry(w http.ResponseWriter, r *http.Request) {
	b, err := rebuildRequest(r)
	if err != nil {
		h.broken(w, r, "read the address", err)
		return
	}
	back, words := pageOf(b)
	h.ask(w, r, question{Heading: "Retry what failed on " + words + "?", Button: "Retry", Back: back,
		Text: "Failed hours start afresh, with all their attempts. Other hours are left alone."})
}

// doRetry is POST …/retry.
func (h *handler) doRetry(w http.ResponseWriter, r *http.Request) {
	action{doing: "retry", do: h.retryDay, done: backTo("retry"), broken: h.broken}.serve(w, r)
}

// askRetryAll is GET /admin/failed/retry.
func (h *handler) askRetryAll(w http.ResponseWriter, r *http.Request) {
	h.ask(w, r, question{Heading: "Retry every failed hour?", Button: "Retry", Back: "/admin/failed",
		Text: "Failed hours of all tenants start afresh, with all their attempts: the oldest first, 200 at a time."})
}

// doRetryAll is POST /admin/failed/retry.
func (h *handler) doRetryAll(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	done, _, err := h.retryAll(ctx, origin(r))
	if err != nil {
		h.broken(w, r, "retry", err)
		return
	}
	redirectDone(w, r, "/admin/failed", "retry", done)
}

// readSwitch reads from the path which feature to switch, and whether on. Error: KindNotFound.
func readSwitch(r *http.Request) (name string, on bool, err error) {
	name, to := chi.URLParam(r, "feature"), chi.URLParam(r, "to")
	if to != "on" && to != "off" || name != domain.FeatureRecordings && name != domain.FeatureExport {
		return "", false, domain.Errorf(domain.KindNotFound, "there is no such feature")
	}
	return name, to == "on", nil
}

// setFeature switches a feature of the path's tenant. Errors as of Actions, KindForbidden.
func (h *handler) setFeature(ctx context.Context, r *http.Request, name string, on bool) (domain.Tenant, error) {
	if err := h.writable(); err != nil {
		return domain.Tenant{}, err
	}
	return h.deps.Catalog.SetFeature(ctx, chi.URLParam(r, "tenant"), name, on, origin(r))
}

// askFeature is GET …/features/{feature}/{to}.
func (h *handler) askFeature(w http.ResponseWriter, r *http.Request) {
	name, on, err := readSwitch(r)
	if err != nil {
		h.broken(w, r, "read the address", err)
		return
	}
	tenant := chi.URLParam(r, "tenant")
	text := "The tenant can use it with the next request."
	if !on {
		text = "The tenant's next request is refused, also by links that were issued. What is archived stays until its retention ends."
	}
	h.ask(w, r, question{Heading: "Switch " + name + " " + onOff(on) + " for " + tenant + "?", Text: text,
		Button: "Switch " + onOff(on), Back: tenantPath(tenant)})
}

// doFeature is POST …/features/{feature}/{to}.
func (h *handler) doFeature(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	name, on, err := readSwitch(r)
	if err != nil {
		h.broken(w, r, "read the address", err)
		return
	}
	if _, err := h.setFeature(ctx, r, name, on); err != nil {
		h.broken(w, r, "switch a feature", err)
		return
	}
	n := 0
	if on {
		n = 1
	}
	redirectDone(w, r, tenantPath(chi.URLParam(r, "tenant")), "feature", n)
}

type retriedJSON struct {
	Retried int  `json:"retried"`
	More    bool `json:"more"`
}

// postRebuild is POST …/rebuild of the API.
func (h *handler) postRebuild(w http.ResponseWriter, r *http.Request) {
	action{doing: "rebuild", do: h.rebuild, broken: h.brokenJSON,
		read: func(r *http.Request, b *catalog.RebuildRequest) error {
			var body struct {
				Force bool `json:"force"`
			}
			err := readJSON(r, &body)
			b.Force = body.Force
			return err
		},
		done: func(w http.ResponseWriter, r *http.Request, _ catalog.RebuildRequest, due int) {
			web.JSON(w, r, http.StatusOK, map[string]int{"due": due})
		}}.serve(w, r)
}

// postRetry is POST …/retry of the API.
func (h *handler) postRetry(w http.ResponseWriter, r *http.Request) {
	action{doing: "retry", do: h.retryDay, broken: h.brokenJSON,
		done: func(w http.ResponseWriter, r *http.Request, _ catalog.RebuildRequest, done int) {
			web.JSON(w, r, http.StatusOK, retriedJSON{done, false})
		}}.serve(w, r)
}

// postRetryAll is POST /api/admin/v1/failed/retry.
func (h *handler) postRetryAll(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	done, more, err := h.retryAll(ctx, origin(r))
	if err != nil {
		h.brokenJSON(w, r, "retry", err)
		return
	}
	web.JSON(w, r, http.StatusOK, retriedJSON{done, more})
}

// putFeature is PUT /api/admin/v1/tenants/{tenant}/features/{feature}.
func (h *handler) putFeature(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	var body struct {
		Enabled *bool `json:"enabled"`
	}
	err := readJSON(r, &body)
	if err == nil && body.Enabled == nil {
		err = domain.Errorf(domain.KindInvalid, "enabled is missing; use true or false")
	}
	var t domain.Tenant
	if err == nil {
		t, err = h.setFeature(ctx, r, chi.URLParam(r, "feature"), *body.Enabled)
	}
	if err != nil {
		h.brokenJSON(w, r, "switch a feature", err)
		return
	}
	web.JSON(w, r, http.StatusOK, tenantAnswer(t))
}
