package recordings

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// day is GET …/{utcDay}. All that decides stands in the catalog and is read there at one time,
// with the use that is counted.
func (h *handler) day(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), catalogTimeout)
	defer cancel()
	who, ok := h.vouched(ctx, w, r)
	if !ok {
		return
	}
	day, dayErr := dayParam(r)
	check := func(a *catalog.DayAccess) error {
		err := checkDay(&who, day, dayErr, a)
		if err == nil && web.TooLarge(r) {
			err = refusal{http.StatusRequestEntityTooLarge, textTooLarge}
		}
		return err
	}
	if r.Method == http.MethodHead { // hands nothing out, so there is nothing to count
		h.head(ctx, w, r, &who, day, check)
		return
	}
	issued, err := h.deps.Catalog.IssueDay(ctx, catalog.DayRequest{
		Tenant: who.Tenant, App: who.App, Day: day, LinkTTL: h.cfg.LinkTTL, Origin: origin(r, who.Actor), Allow: check,
		Make: func(v *catalog.DayView) any { return h.page(v) }})
	if err != nil {
		h.refuseDay(w, r, &issued.Window, err)
		return
	}
	limit(w, issued.Window)
	room, _ := h.rooms.Get().(*[]byte) // the pool holds nothing else
	defer h.rooms.Put(room)
	*room = h.answer(ctx, (*room)[:0], &issued)
	send(w, *room)
}

// head is day for HEAD.
func (h *handler) head(ctx context.Context, w http.ResponseWriter, r *http.Request, who *auth.SignedClaims, day domain.Day,
	check func(a *catalog.DayAccess) error,
) {
	access, err := h.deps.Catalog.DayAccess(ctx, who.Tenant, who.App, day)
	if domain.KindOf(err) == domain.KindNotFound || err == nil {
		if refused := check(&access); refused != nil {
			err = refused
		} else if err == nil && access.Expired {
			err = refusal{http.StatusNotFound, textRetention}
		}
	}
	if err != nil {
		h.refuseDay(w, r, &access.Window, err)
		return
	}
	limit(w, access.Window)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
}

// vouched finds who says to ask, or answers 401 or 503.
func (h *handler) vouched(ctx context.Context, w http.ResponseWriter, r *http.Request) (auth.SignedClaims, bool) {
	token, present := web.Bearer(r)
	if !present {
		unauthorized(w, r, "Bearer", textUnauthorized)
		return auth.SignedClaims{}, false
	}
	who, err := h.deps.Tokens.VerifySignature(ctx, token)
	switch domain.KindOf(err) {
	case "":
		telemetry.SetTenant(ctx, who.Tenant)
		return who, true
	case domain.KindUnauthorized:
		unauthorized(w, r, challengeToken, textUnauthorized)
	default:
		h.broken(w, r, "verify the access token", err)
	}
	return auth.SignedClaims{}, false
}

// checkDay is the checks that come before retention and the limit, in their order. Errors:
// KindUnauthorized, refusal.
func checkDay(who *auth.SignedClaims, day domain.Day, dayErr error, a *catalog.DayAccess) error {
	caller, err := who.Caller(a.App)
	switch {
	case err != nil:
		return err
	case !caller.Has(auth.ScopeDataService):
		return refusal{http.StatusForbidden, textScope}
	case !a.Tenant.Recordings:
		return refusal{http.StatusForbidden, textFeature}
	case dayErr != nil:
		return refusal{http.StatusBadRequest, textFormat}
	case day > domain.DayOf(a.Now):
		return refusal{http.StatusBadRequest, textFuture}
	}
	return nil
}

// refuseDay answers for the error of a day request.
func (h *handler) refuseDay(w http.ResponseWriter, r *http.Request, window *catalog.Window, err error) {
	no, refused := errors.AsType[refusal](err)
	switch domain.KindOf(err) {
	case domain.KindUnauthorized:
		unauthorized(w, r, challengeToken, textUnauthorized)
		return
	case domain.KindLimited:
		limited(w, r, *window)
		return
	case domain.KindExpired:
		no, refused = refusal{http.StatusNotFound, textRetention}, true
	}
	if refused || window.Limit > 0 { // else the catalog could not tell
		limit(w, *window)
	}
	if !refused {
		h.broken(w, r, "count the day request", err)
		return
	}
	if no.text == textScope {
		w.Header().Set("WWW-Authenticate", challengeScope)
	}
	refuse(w, r, no.status, no.text)
}

// dayParam reads the path's day; "" with an error when it is none.
func dayParam(r *http.Request) (domain.Day, error) {
	text, err := url.PathUnescape(chi.URLParam(r, "utcDay"))
	if err != nil {
		return "", err
	}
	return domain.ParseDay(text)
}
