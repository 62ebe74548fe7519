package recordings

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// How long a client should wait before it asks for a seal again: while hours are pending, and while
// no checkpoint covers the seal.
const (
	sealWait  = 15 * time.Minute
	proofWait = 30 * time.Second
)

// seal is GET …/{utcDay}/seal. It is not counted.
func (h *handler) seal(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), catalogTimeout)
	defer cancel()
	who, err := h.claims(ctx, r)
	if err != nil {
		return err
	}
	day, _ := dayParam(r) // "" when it is not a day; the catalog refuses that after it has checked the caller
	s, err := h.deps.Catalog.DaySeal(ctx, catalog.DayRequest{TokenClaims: who.TokenClaims, Scope: auth.ScopeDataService, Day: day})
	var proof []byte
	if err == nil {
		proof, err = h.deps.Proofs(ctx, merkle.Key{Kind: merkle.KindSeal, Ref: s.Record})
	}
	switch kind := domain.KindOf(err); {
	case web.TooLarge(r) && (err == nil || kind == domain.KindExpired || kind == domain.KindNotFound):
		return refused(http.StatusRequestEntityTooLarge)
	case errors.Is(err, catalog.ErrUnsealed):
		return notSealed(w, sealWait)
	case errors.Is(err, catalog.ErrUnproven), err != nil && kind == domain.KindNotFound && s.Record != 0:
		return notSealed(w, proofWait)
	case err != nil:
		return sealError(err)
	}
	text, err := dayseal.Join(s.Data, string(proof))
	if err != nil {
		return web.Step("write the seal", err)
	}
	web.JSONText(w, r, http.StatusOK, text)
	return nil
}

// notSealed is the 404 of a day without a seal that can be proven.
func notSealed(w http.ResponseWriter, wait time.Duration) error {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	return refusal(http.StatusNotFound, textNotSealed)
}

// sealError gives the answer for the error of a request for a seal.
func sealError(err error) error {
	if answer, ok := dayRefusal(err); ok {
		return answer
	}
	return web.Step("read the seal", err)
}
