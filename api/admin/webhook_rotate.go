package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/webhooks"
)

// rotateWebhook gives the path's webhook a new secret. Errors as of Endpoints, KindForbidden.
func (h *handler) rotateWebhook(r *http.Request, grace time.Duration) (outbox.Endpoint, string, error) {
	if err := h.writable(); err != nil {
		return outbox.Endpoint{}, "", err
	}
	return h.deps.Endpoints.Rotate(r.Context(), chi.URLParam(r, "tenant"), chi.URLParam(r, "webhook"), grace, origin(r))
}

// postRotate is POST …/webhooks/{webhook}/rotate of the API.
func (h *handler) postRotate(r *http.Request) (any, error) {
	var body struct {
		Grace *int64 `json:"graceSeconds"`
	}
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	grace := webhooks.DefaultGrace
	if body.Grace != nil {
		seconds := max(-1, min(*body.Grace, int64(webhooks.MaxGrace/time.Second)+1)) // so that the duration does not overflow
		grace = time.Duration(seconds) * time.Second
	}
	e, secret, err := h.rotateWebhook(r, grace)
	return endpointAnswer(e, secret), err
}

// askRotate is GET …/webhooks/{webhook}/rotate.
func (h *handler) askRotate(r *http.Request) (answer, error) {
	tenant, id := chi.URLParam(r, "tenant"), chi.URLParam(r, "webhook")
	list, err := h.deps.Catalog.Endpoints(r.Context(), tenant)
	at := slices.IndexFunc(list, func(e outbox.Endpoint) bool { return e.ID == id })
	if err == nil && at < 0 {
		err = domain.Errorf(domain.KindNotFound, "there is no such webhook")
	}
	if err != nil {
		return answer{}, err
	}
	return h.ask(question{Heading: "Give a webhook of " + tenant + " a new secret?", Button: "New secret", Back: tenantPath(tenant),
		Text: id + " posts to " + list[at].URL + ". The receiver verifies signatures with the secret, which is shown once.",
		Choice: &choice{Legend: "The former secret", Name: "former", Options: []option{
			{"grace", "Signs too for 24 hours, so that the receiver can change over in peace"},
			{"end", "Ends at once: it has leaked"}}}})
}

// shownSecret is a new secret, which is shown only once.
type shownSecret struct{ ID, Secret, Former, Back string }

// doRotate is POST …/webhooks/{webhook}/rotate. It answers with the secret instead of a redirect,
// because an address must not hold a secret.
func (h *handler) doRotate(r *http.Request) (answer, error) {
	grace, former := webhooks.DefaultGrace, "The former secret signs too for 24 hours."
	if r.PostFormValue("former") == "end" {
		grace, former = 0, "The former secret signs no more."
	}
	e, secret, err := h.rotateWebhook(r, grace)
	return answer{page: "secret", view: view{Title: "New secret", Nav: "calendar", Data: shownSecret{e.ID, secret, former, tenantPath(e.Tenant)}}}, err
}
