package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
)

// Eraser orders erasures and says how far they are. Errors: KindInvalid, KindNotFound, KindConflict
// where a hold covers a part, KindUnavailable.
type Eraser interface {
	OfUser(ctx context.Context, tenant, user string) ([]string, error)
	OfPhone(ctx context.Context, tenant, phone string) ([]string, error)
	Preview(ctx context.Context, r lifecycle.ErasureRequest) (lifecycle.ErasureCounts, error)
	Ask(ctx context.Context, r lifecycle.ErasureRequest) (lifecycle.Erasure, error)
	Status(ctx context.Context, tenant, id string) (lifecycle.Erasure, error)
	List(ctx context.Context, tenant, before string, limit int) ([]lifecycle.Erasure, error)
}

// erasuresPage is how many erasures one answer lists.
const erasuresPage = 100

// getErasures is GET …/erasures.
func (h *handler) getErasures(r *http.Request) (any, error) {
	list, err := h.deps.Eraser.List(r.Context(), chi.URLParam(r, "tenant"), r.URL.Query().Get("before"), erasuresPage+1)
	var next *string
	if len(list) > erasuresPage {
		list = list[:erasuresPage]
		next = &list[erasuresPage-1].ID
	}
	return map[string]any{"erasures": append([]lifecycle.Erasure{}, list...), "next": next}, err
}

// getErasure is GET …/erasures/{erasure}.
func (h *handler) getErasure(r *http.Request) (any, error) {
	return h.deps.Eraser.Status(r.Context(), chi.URLParam(r, "tenant"), chi.URLParam(r, "erasure"))
}

type erasurePreview struct {
	Conversations []string                `json:"conversations"`
	Counts        lifecycle.ErasureCounts `json:"counts"`
	Confirm       string                  `json:"confirm"` // what the order repeats
}

// postPreview is POST …/erasures/preview: it says what an erasure would remove.
func (h *handler) postPreview(r *http.Request) (any, error) {
	var body struct {
		Conversations []string `json:"conversations"`
		User          string   `json:"userId"`
		Phone         string   `json:"phone"`
	}
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	given := 0
	for _, is := range []bool{len(body.Conversations) > 0, body.User != "", body.Phone != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, domain.Errorf(domain.KindInvalid, "give one of conversations, userId and phone")
	}
	if n := len(body.Conversations); n > lifecycle.MaxErased {
		return nil, domain.Errorf(domain.KindInvalid, "%d conversations are more than the %d of one order; ask for them in parts", n, lifecycle.MaxErased)
	}
	tenant := chi.URLParam(r, "tenant")
	if _, err := h.deps.Catalog.Tenant(r.Context(), tenant); err != nil {
		return nil, err
	}
	ids, err := body.Conversations, error(nil)
	switch {
	case body.User != "":
		ids, err = h.deps.Eraser.OfUser(r.Context(), tenant, body.User)
	case body.Phone != "":
		ids, err = h.deps.Eraser.OfPhone(r.Context(), tenant, body.Phone)
	}
	if err != nil {
		return nil, err
	}
	n, err := h.deps.Eraser.Preview(r.Context(), lifecycle.ErasureRequest{Tenant: tenant, Conversations: ids})
	return erasurePreview{ids, n, confirmation(tenant, ids)}, err
}

// confirmation is made of the conversations, so that an order erases what its preview has shown.
func confirmation(tenant string, conversations []string) string {
	sum := sha256.New()
	sum.Write([]byte(tenant))
	for _, id := range slices.Compact(slices.Sorted(slices.Values(conversations))) {
		sum.Write([]byte("\x00" + id))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// postErasure is POST …/erasures.
func (h *handler) postErasure(r *http.Request) (any, error) {
	var body struct {
		Conversations []string `json:"conversations"`
		Reason        string   `json:"reason"`
		Confirm       string   `json:"confirm"`
	}
	if err := h.readChange(r, &body); err != nil {
		return nil, err
	}
	tenant := chi.URLParam(r, "tenant")
	if body.Confirm != confirmation(tenant, body.Conversations) {
		return nil, domain.Errorf(domain.KindInvalid, `"confirm" is not that of a preview of these conversations; ask for one first (POST …/erasures/preview)`)
	}
	x, err := h.deps.Eraser.Ask(r.Context(), lifecycle.ErasureRequest{Tenant: tenant, Conversations: body.Conversations, Reason: body.Reason, Origin: origin(r)})
	if err == nil {
		_, _ = h.deps.Planner.DispatchPass(r.Context()) // the scheduler repeats it and logs errors
	}
	return x, err
}
