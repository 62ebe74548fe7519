package exports

import (
	"context"
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

// failure is the family's error shape.
type failure struct {
	Detail string `json:"detail"`
}

func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	h := w.Header()
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
	}
	web.JSON(w, r, status, failure{text})
}

// fail writes an error that is not about a conversation.
func fail(w http.ResponseWriter, r *http.Request, status int) {
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
	refuse(w, r, status, text)
}

// failed answers for an error, and logs those that are not the caller's.
func (h *handler) failed(w http.ResponseWriter, r *http.Request, what string, err error) {
	fields := []zap.Field{zap.String("what", what), zap.Error(err), telemetry.In(r.Context())}
	kind := domain.KindOf(err)
	switch {
	case kind == domain.KindInvalid:
		refuse(w, r, http.StatusBadRequest, domain.SafeMessage(err))
	case kind == domain.KindUnauthorized:
		refuse(w, r, http.StatusUnauthorized, domain.SafeMessage(err))
	case kind == domain.KindNotFound:
		refuse(w, r, http.StatusNotFound, textNotFound)
	case kind == domain.KindTooLarge:
		fail(w, r, http.StatusRequestEntityTooLarge)
	case kind == domain.KindUnavailable, kind == domain.KindInterrupted, kind == domain.KindStalled,
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		h.deps.Log.Warn("a part does not answer", fields...)
		fail(w, r, http.StatusServiceUnavailable)
	default:
		h.deps.Log.Error("an export failed", fields...)
		fail(w, r, http.StatusInternalServerError)
	}
}
