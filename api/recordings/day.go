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

// day is GET …/{utcDay}. The catalog reads all that the answer depends on, and counts the
// request, in one transaction.
func (h *handler) day(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), catalogTimeout)
	defer cancel()
	who, err := h.claims(ctx, r)
	if err != nil {
		return err
	}
	day, dayErr := dayParam(r)
	check := func(a *catalog.DayAccess) error {
		err := checkDay(&who, day, dayErr, a)
		if err == nil && web.TooLarge(r) {
			err = refused(http.StatusRequestEntityTooLarge)
		}
		return err
	}
	if r.Method == http.MethodHead { // it gives no links, so it is not counted
		return h.head(ctx, w, &who, day, check)
	}
	issued, err := h.deps.Catalog.IssueDay(ctx, catalog.DayRequest{
		Tenant: who.Tenant, App: who.App, Day: day, LinkTTL: h.cfg.LinkTTL, Origin: web.Origin(r, who.Actor), Allow: check,
		Make: func(v *catalog.DayView) any { return h.page(v) }})
	if err != nil {
		return dayError(w, issued.Window, err)
	}
	limit(w, issued.Window)
	room, _ := h.rooms.Get().(*[]byte) // the pool holds nothing else
	defer h.rooms.Put(room)
	*room = h.answer(ctx, (*room)[:0], &issued)
	send(w, *room)
	return nil
}

// head is day for HEAD.
func (h *handler) head(ctx context.Context, w http.ResponseWriter, who *auth.SignedClaims, day domain.Day,
	check func(a *catalog.DayAccess) error,
) error {
	access, err := h.deps.Catalog.DayAccess(ctx, who.Tenant, who.App, day)
	if domain.KindOf(err) == domain.KindNotFound || err == nil {
		if refused := check(&access); refused != nil {
			err = refused
		} else if err == nil && access.Expired {
			err = refusal{status: http.StatusNotFound, text: textRetention}
		}
	}
	if err != nil {
		return dayError(w, access.Window, err)
	}
	limit(w, access.Window)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	return nil
}

// claims verifies the access token.
func (h *handler) claims(ctx context.Context, r *http.Request) (auth.SignedClaims, error) {
	token, present := web.Bearer(r)
	if !present {
		return auth.SignedClaims{}, unauthorized("Bearer", textUnauthorized)
	}
	who, err := h.deps.Tokens.VerifySignature(ctx, token)
	if domain.KindOf(err) == domain.KindUnauthorized {
		return who, unauthorized(challengeToken, textUnauthorized)
	}
	if err != nil {
		return who, web.Step("verify the access token", err)
	}
	telemetry.SetTenant(ctx, who.Tenant)
	return who, nil
}

// checkDay is the checks that come before retention and the limit, in their order. Errors:
// KindUnauthorized, refusal.
func checkDay(who *auth.SignedClaims, day domain.Day, dayErr error, a *catalog.DayAccess) error {
	caller, err := who.Caller(a.App)
	switch {
	case err != nil:
		return err
	case !caller.Has(auth.ScopeDataService):
		return refusal{http.StatusForbidden, textScope, challengeScope}
	case !a.Tenant.Recordings:
		return refusal{status: http.StatusForbidden, text: textFeature}
	case dayErr != nil:
		return refusal{status: http.StatusBadRequest, text: textFormat}
	case day > domain.DayOf(a.Now):
		return refusal{status: http.StatusBadRequest, text: textFuture}
	}
	return nil
}

// dayError gives the error of a day request as the answer's, and sets the limit's headers when the
// limit is known.
func dayError(w http.ResponseWriter, window catalog.Window, err error) error {
	no, refused := errors.AsType[refusal](err)
	switch domain.KindOf(err) {
	case domain.KindUnauthorized:
		return unauthorized(challengeToken, textUnauthorized)
	case domain.KindLimited:
		return limited(w, window)
	case domain.KindExpired:
		no, refused = refusal{status: http.StatusNotFound, text: textRetention}, true
	}
	if refused || window.Limit > 0 {
		limit(w, window)
	}
	if refused {
		return no
	}
	return web.Step("count the day request", err)
}

// dayParam reads the path's day; "" with an error when it is none.
func dayParam(r *http.Request) (domain.Day, error) {
	text, err := url.PathUnescape(chi.URLParam(r, "utcDay"))
	if err != nil {
		return "", err
	}
	return domain.ParseDay(text)
}
