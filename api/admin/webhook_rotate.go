package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/webhooks"
)

// rotateWebhook gives the address's webhook a new secret. Errors as of Endpoints, KindForbidden.
func (h *handler) rotateWebhook(r *http.Request, grace time.Duration) (catalog.Endpoint, string, error) {
	if err := h.writable(); err != nil {
		return catalog.Endpoint{}, "", err
	}
	ctx, cancel := withTimeout(r)
	defer cancel()
	return h.deps.Endpoints.Rotate(ctx, chi.URLParam(r, "tenant"), chi.URLParam(r, "webhook"), grace, origin(r))
}

// postRotate is POST …/webhooks/{webhook}/rotate of the API.
func (h *handler) postRotate(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Grace *int64 `json:"graceSeconds"`
	}
	err := readJSON(r, &body)
	grace := webhooks.DefaultGrace
	if body.Grace != nil {
		seconds := max(-1, min(*body.Grace, int64(webhooks.MaxGrace/time.Second)+1)) // so that the duration does not overflow
		grace = time.Duration(seconds) * time.Second
	}
	var e catalog.Endpoint
	var secret string
	if err == nil {
		e, secret, err = h.rotateWebhook(r, grace)
	}
	h.answerEndpoint(w, r, http.StatusOK, "rotate a webhook's secret", e, secret, err)
}

// askRotate is GET …/webhooks/{webhook}/rotate.
func (h *handler) askRotate(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withTimeout(r)
	defer cancel()
	tenant, id := chi.URLParam(r, "tenant"), chi.URLParam(r, "webhook")
	list, err := h.deps.Catalog.Endpoints(ctx, tenant)
	at := slices.IndexFunc(list, func(e catalog.Endpoint) bool { return e.ID == id })
	if err == nil && at < 0 {
		err = domain.Errorf(domain.KindNotFound, "there is no such webhook")
	}
	if err != nil {
		h.broken(w, r, "read the webhook", err)
		return
	}
	h.ask(w, r, question{Heading: "Give a webhook of " + tenant + " a new secret?", Button: "New secret", Back: tenantPath(tenant),
		Text: id + " posts to " + list[at].URL + ". The receiver verifies signatures with the secret, which is shown once.",
		Choice: &choice{Legend: "The former secret", Name: "former", Options: []option{
			{"grace", "Signs too for 24 hours, so that the receiver can change over in peace"},
			{"end", "Ends at once: it has leaked"}}}})
}

// shownSecret is a new secret, which is shown only once.
type shownSecret struct{ ID, Secret, Former, Back string }

// doRotate is POST …/webhooks/{webhook}/rotate. It answers with the secret instead of a redirect,
// because an address must not hold a secret.
func (h *handler) doRotate(w http.ResponseWriter, r *http.Request) {
	grace, former := webhooks.DefaultGrace, "The former secret signs too for 24 hours."
	if r.PostFormValue("former") == "end" {
		grace, former = 0, "The former secret signs no more."
	}
	e, secret, err := h.rotateWebhook(r, grace)
	if err != nil {
		h.broken(w, r, "rotate a webhook's secret", err)
		return
	}
	h.render(w, r, http.StatusOK, "secret", view{Title: "New secret", Nav: "calendar", Data: shownSecret{e.ID, secret, former, tenantPath(e.Tenant)}})
}
