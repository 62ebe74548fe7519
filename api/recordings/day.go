package recordings

import (
	"context"
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// day is GET …/{utcDay}.
func (h *handler) day(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), catalogTimeout)
	defer cancel()
	caller, ok := h.caller(ctx, w, r)
	if !ok {
		return
	}
	day, dayErr := dayParam(r)
	access, err := h.deps.Catalog.DayAccess(ctx, caller.Tenant, day)
	if err != nil {
		h.broken(w, r, "read the tenant", err)
		return
	}
	limit(w, access.Window)
	switch {
	case !caller.Has(auth.ScopeDataService):
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+auth.ScopeDataService+`"`)
		refuse(w, r, http.StatusForbidden, textScope)
	case !access.Tenant.Recordings:
		refuse(w, r, http.StatusForbidden, textFeature)
	case dayErr != nil:
		refuse(w, r, http.StatusBadRequest, textFormat)
	case day > domain.DayOf(access.Now):
		refuse(w, r, http.StatusBadRequest, textFuture)
	case access.Expired:
		refuse(w, r, http.StatusNotFound, textRetention)
	case r.Method == http.MethodHead: // hands nothing out, so there is nothing to count
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
	case access.Window.Full():
		limited(w, r, access.Window)
	default:
		h.issue(ctx, w, r, caller, day)
	}
}

// caller finds who asks, or answers 401 or 503.
func (h *handler) caller(ctx context.Context, w http.ResponseWriter, r *http.Request) (auth.Caller, bool) {
	token, present := web.Bearer(r)
	if !present {
		unauthorized(w, r, "Bearer", textUnauthorized)
		return auth.Caller{}, false
	}
	caller, err := h.deps.Tokens.Verify(ctx, token)
	switch domain.KindOf(err) {
	case "":
		telemetry.SetTenant(ctx, caller.Tenant)
		return caller, true
	case domain.KindUnauthorized:
		unauthorized(w, r, `Bearer error="invalid_token"`, textUnauthorized)
	default:
		h.broken(w, r, "verify the access token", err)
	}
	return auth.Caller{}, false
}

// dayParam reads the path's day; "" with an error when it is none.
func dayParam(r *http.Request) (domain.Day, error) {
	text, err := url.PathUnescape(chi.URLParam(r, "utcDay"))
	if err != nil {
		return "", err
	}
	return domain.ParseDay(text)
}

// issue counts the request and hands the day out.
func (h *handler) issue(ctx context.Context, w http.ResponseWriter, r *http.Request, caller auth.Caller, day domain.Day) {
	issued, err := h.deps.Catalog.IssueDay(ctx, catalog.DayRequest{
		Tenant: caller.Tenant, Day: day, LinkTTL: h.cfg.LinkTTL, Origin: origin(r, caller.Actor)})
	switch domain.KindOf(err) {
	case "":
	case domain.KindLimited: // somebody was faster than this request's first look
		limited(w, r, issued.Window)
		return
	case domain.KindExpired:
		refuse(w, r, http.StatusNotFound, textRetention)
		return
	default:
		h.broken(w, r, "count the day request", err)
		return
	}
	limit(w, issued.Window)
	send(w, h.answer(ctx, &issued))
}
