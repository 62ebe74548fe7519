package bulk

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// The family's texts.
const (
	textUnauthorized = "The API key is missing or invalid."
	textFeature      = "The export API is not enabled for this tenant."
	textLimit        = "Rate limit exceeded: 3 requests per second per endpoint. Please try again later."
	textBot          = "No bot has the name or id that bot_name gives."
)

// failure is the family's error shape.
type failure struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	web.JSON(w, r, status, failure{text})
}

func unauthorized(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusUnauthorized, textUnauthorized)
}

// fail writes an error that is not about the request's parameters.
func fail(w http.ResponseWriter, r *http.Request, status int) {
	text := "Internal server error."
	switch status {
	case http.StatusNotFound:
		text = "Not found."
	case http.StatusMethodNotAllowed:
		text = "Method not allowed."
	case http.StatusRequestEntityTooLarge:
		text = "The request body is too large."
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
		text = "The service is temporarily unavailable. Please try again later."
	}
	refuse(w, r, status, text)
}

// wrong answers for an error of reading or looking up what was asked for.
func (h *handler) wrong(w http.ResponseWriter, r *http.Request, err error) {
	switch domain.KindOf(err) {
	case domain.KindInvalid:
		refuse(w, r, http.StatusBadRequest, domain.SafeMessage(err))
	case domain.KindNotFound:
		refuse(w, r, http.StatusNotFound, textBot)
	default:
		h.broken(w, r, "export", err)
	}
}

// broken answers for an error that no check explains: 503 when trying again can help.
func (h *handler) broken(w http.ResponseWriter, r *http.Request, doing string, err error) {
	status := http.StatusInternalServerError
	if domain.KindOf(err) == domain.KindUnavailable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		status = http.StatusServiceUnavailable
	}
	h.deps.Log.Warn("a request failed", zap.String("doing", doing), zap.Int("status", status),
		telemetry.In(r.Context()), zap.Error(err))
	fail(w, r, status)
}
