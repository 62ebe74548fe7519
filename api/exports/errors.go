package exports

import (
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
	textWrongTokens   = "Too many wrong internal tokens came from this address, please try again later or with the right one"
	textOrganization  = "Organization ID missing for internal requests. Please provide x-organization-id header."
	textNotFound      = "Conversation not found or you don't have access to this conversation"
	textFailed        = "Export failed"
	textLink          = "The recording link is invalid"
	textLinkExpired   = "The recording link has expired"
	textNoRecording   = "Recording not found"
)

type failure struct {
	Detail string `json:"detail"`
}

func refusal(status int, text string) web.Refusal {
	return web.Refusal{Status: status, Body: failure{text}}
}

// refused gives the refusal for a status that always has the same text.
func refused(status int) web.Refusal {
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
	return refusal(status, text)
}

// explain gives the answer for an error, and logs the error unless it is the caller's.
func (h *handler) explain(r *http.Request, err error) web.Refusal {
	switch domain.KindOf(err) {
	case domain.KindInvalid:
		return refusal(http.StatusBadRequest, domain.SafeMessage(err))
	case domain.KindUnauthorized:
		return web.Refusal{Status: http.StatusUnauthorized, Body: failure{domain.SafeMessage(err)}, Challenge: "Bearer"}
	case domain.KindNotFound:
		return refusal(http.StatusNotFound, textNotFound)
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

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refused(status).Write(w, r) }
