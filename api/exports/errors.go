package exports

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// The family's texts, as its clients know them.
const (
	textCredential    = "Authentication required: either x-internal-token or x-api-key header"
	textAPIKey        = "Invalid API key"
	textInternalToken = "Invalid internal token"
	textOrganization  = "Organization ID missing for internal requests. Please provide x-organization-id header."
	textNotFound      = "Conversation not found or you don't have access to this conversation"
	textFailed        = "Export failed"
	textLink          = "The recording link is invalid"
	textLinkExpired   = "The recording link has expired"
	textNoRecording   = "Recording not found"
)

// refusal is an answer in the family's error shape.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// refused gives the refusal of a status that has one text.
func refused(status int) refusal {
	text := textFailed
	switch status {
	case http.StatusNotFound:
		text = "Not Found"
	case http.StatusMethodNotAllowed:
		text = "Method Not Allowed"
	case http.StatusPreconditionFailed:
		text = "The recording is not the one that the request names"
	case http.StatusRequestEntityTooLarge:
		text = "The request body is too large"
	case http.StatusRequestedRangeNotSatisfiable:
		text = "The requested range lies behind the end of the recording"
	case http.StatusServiceUnavailable:
		text = "Export is temporarily unavailable, please try again"
	}
	return refusal{status, text}
}

// handle makes a handler that writes the answer for the error of serve.
func (h *handler) handle(serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			refuse(w, r, h.refusalOf(r, err))
		}
	}
}

// refusalOf gives the answer for an error, and logs the error unless it is the caller's.
func (h *handler) refusalOf(r *http.Request, err error) refusal {
	if no, known := errors.AsType[refusal](err); known {
		return no
	}
	switch domain.KindOf(err) {
	case domain.KindInvalid:
		return refusal{http.StatusBadRequest, domain.SafeMessage(err)}
	case domain.KindUnauthorized:
		return refusal{http.StatusUnauthorized, domain.SafeMessage(err)}
	case domain.KindNotFound:
		return refusal{http.StatusNotFound, textNotFound}
	case domain.KindTooLarge:
		return refused(http.StatusRequestEntityTooLarge)
	}
	fields := []zap.Field{zap.String("what", web.Doing(err)), zap.Error(err), telemetry.In(r.Context())}
	if web.Unavailable(err, domain.KindInterrupted, domain.KindStalled) {
		h.deps.Log.Warn("a part does not answer", fields...)
		return refused(http.StatusServiceUnavailable)
	}
	h.deps.Log.Error("an export failed", fields...)
	return refused(http.StatusInternalServerError)
}

func refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	switch no.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	web.JSON(w, r, no.status, struct {
		Detail string `json:"detail"`
	}{no.text})
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refuse(w, r, refused(status)) }
