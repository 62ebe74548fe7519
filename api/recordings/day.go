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
	day, _ := dayParam(r) // "" when it is not a day; the catalog refuses that after it has checked the caller
	request := catalog.DayRequest{TokenClaims: who.TokenClaims, Scope: auth.ScopeDataService, Day: day, LinkTTL: h.cfg.LinkTTL, Origin: web.Origin(r, who.Actor)}
	if r.Method == http.MethodHead || web.TooLarge(r) {
		return h.checkDay(ctx, w, r, request)
	}
	issued, err := h.deps.Catalog.IssueDay(ctx, request)
	if err != nil {
		return dayError(w, issued.Window, err)
	}
	limit(w, issued.Window)
	web.JSON(w, r, http.StatusOK, h.answer(ctx, &issued, who.Holder()))
	return nil
}

// checkDay answers a request that gets no links and so is not counted: a HEAD, or a request whose
// body is too large.
func (h *handler) checkDay(ctx context.Context, w http.ResponseWriter, r *http.Request, request catalog.DayRequest) error {
	window, err := h.deps.Catalog.CheckDay(ctx, request)
	kind := domain.KindOf(err)
	switch {
	case web.TooLarge(r) && (err == nil || kind == domain.KindExpired || kind == domain.KindLimited):
		err = domain.Errorf(domain.KindTooLarge, "the body is too large")
	case kind == domain.KindLimited: // a full window does not refuse a HEAD
		err = nil
	}
	if err != nil {
		return dayError(w, window, err)
	}
	limit(w, window)
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
	who, err := h.deps.Tokens.Verify(ctx, token)
	if domain.KindOf(err) == domain.KindUnauthorized {
		return who, unauthorized(challengeToken, textUnauthorized)
	}
	if err != nil {
		return who, web.Step("verify the access token", err)
	}
	telemetry.SetTenant(ctx, who.Tenant)
	return who, nil
}

// dayError gives the answer for an error of a day request, and sets the limit's headers when the
// limit is known.
func dayError(w http.ResponseWriter, window catalog.Window, err error) error {
	kind := domain.KindOf(err)
	if kind == domain.KindLimited {
		return limited(w, window)
	}
	answer, known := dayRefusal(err)
	if kind != domain.KindUnauthorized && (known || window.Limit > 0) {
		limit(w, window)
	}
	if !known {
		return web.Step("count the day request", err)
	}
	return answer
}

// dayRefusal gives the refusal of a request about a day; false for an error that is no refusal.
func dayRefusal(err error) (web.Refusal, bool) {
	switch kind := domain.KindOf(err); {
	case kind == domain.KindUnauthorized:
		return unauthorized(challengeToken, textUnauthorized), true
	case errors.Is(err, catalog.ErrScope):
		return web.Refusal{Status: http.StatusForbidden, Body: failure{textScope}, Challenge: challengeScope}, true
	case errors.Is(err, catalog.ErrFeature), kind == domain.KindNotFound: // a tenant that does not exist has no feature
		return refusal(http.StatusForbidden, textFeature), true
	case errors.Is(err, catalog.ErrFuture):
		return refusal(http.StatusBadRequest, textFuture), true
	case kind == domain.KindInvalid:
		return refusal(http.StatusBadRequest, textFormat), true
	case kind == domain.KindTooLarge:
		return refused(http.StatusRequestEntityTooLarge), true
	case kind == domain.KindExpired:
		return refusal(http.StatusNotFound, textRetention), true
	}
	return web.Refusal{}, false
}

// dayParam reads the path's day; "" with an error when it is not a day.
func dayParam(r *http.Request) (domain.Day, error) {
	text, err := url.PathUnescape(chi.URLParam(r, "utcDay"))
	if err != nil {
		return "", err
	}
	return domain.ParseDay(text)
}
