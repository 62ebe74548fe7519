package admin

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
)

// console is the handler of /admin. A request that changes something must come from the console's
// own pages: browsers don't send the cookie from other sites, and they name the origin of a
// request.
func (h *handler) console() (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	if h.cfg.Origin != "" { // a proxy may change the Host header
		if err := protection.AddTrustedOrigin(h.cfg.Origin); err != nil {
			return nil, fmt.Errorf("the console's origin: %w", err)
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.fail(w, r, http.StatusForbidden) }))
	mux := chi.NewRouter()
	mux.Use(protection.Handler, validPath(h.fail))
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) { h.fail(w, r, http.StatusNotFound) })
	mux.MethodNotAllowed(web.UnknownMethods(mux, h.fail))
	open := func(path string, get, post http.HandlerFunc) {
		mux.Handle(path, web.Methods{Get: get, Post: post, Fail: h.fail})
	}
	guarded := func(path string, get, post http.HandlerFunc) {
		mux.Handle(path, web.Methods{Get: h.withSession(get), Post: h.withSession(post), Fail: h.fail})
	}
	open("/admin/assets/{name}", asset, nil)
	open(signinPath, h.showSignin, h.signin)
	open("/admin/signout", nil, h.signout)
	guarded("/admin", h.compress(h.html("read the calendar", h.showCalendar)), nil)
	guarded("/admin/running", h.html("read what runs", h.showRunning), nil)
	guarded("/admin/running/part", h.html("read what runs", h.showRunningPart), nil)
	guarded("/admin/failed", h.html("list what failed", h.showFailed), nil)
	guarded("/admin/failed/retry", h.html("ask", h.askRetryAll), h.html("retry", h.doRetryAll))
	guarded("/admin/tenants/{tenant}", h.html("read the tenant", h.showTenant), nil)
	guarded("/admin/tenants/{tenant}/features/{feature}/{to}", h.html("ask", h.askFeature), h.html("switch a feature", h.doFeature))
	guarded("/admin/tenants/{tenant}/deliveries/{delivery}/replay", h.html("read the delivery", h.askReplay), h.html("replay", h.doReplay))
	guarded("/admin/tenants/{tenant}/webhooks/{webhook}/rotate", h.html("read the webhook", h.askRotate), h.html("rotate a webhook's secret", h.doRotate))
	guarded("/admin/tenants/{tenant}/days/{day}", h.html("read the day", h.showDay), nil)
	guarded("/admin/tenants/{tenant}/days/{day}/rebuild", h.html("ask", h.askRebuild), h.html("rebuild", h.doRebuild))
	guarded("/admin/tenants/{tenant}/days/{day}/retry", h.html("ask", h.askRetry), h.html("retry", h.doRetry))
	guarded("/admin/tenants/{tenant}/days/{day}/reopen", h.html("ask", h.askReopen), h.html("reopen", h.doReopen))
	guarded("/admin/tenants/{tenant}/days/{day}/totals/{hour}", h.html("ask", h.askTotal), h.html("correct a total", h.doTotal))
	guarded("/admin/tenants/{tenant}/days/{day}/hours/{hour}", h.html("read the hour", h.showHour), nil)
	guarded("/admin/tenants/{tenant}/days/{day}/hours/{hour}/archives/{revision}", h.getArchive(h.failHTML), nil)
	guarded("/admin/tenants/{tenant}/days/{day}/hours/{hour}/rebuild", h.html("ask", h.askRebuild), h.html("rebuild", h.doRebuild))
	open("/admin/", func(w http.ResponseWriter, r *http.Request) { h.redirect(w, r, "/admin") }, nil)
	if h.deps.Redis != nil {
		dashboard := h.needSession(h.queues())
		mux.Handle(queuesPath, dashboard)
		mux.Handle(queuesPath+"/*", dashboard)
	}
	return mux, nil
}
