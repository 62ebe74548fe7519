package recordings

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// The texts are documented; clients compare answers with them.
const (
	textUnauthorized = "Unauthorized access. The provided token is invalid or has expired. Please authenticate again."
	textScope        = "The access token lacks the dataservice_external scope."
	textFeature      = "The daily conversation audio recordings feature is not enabled for this tenant. Please contact your administrator."
	textFormat       = "Invalid date format for 'utcDay'. Please use the format YYYY-MM-DD."
	textFuture       = "'utcDay' cannot be in the future. Please provide a past date."
	textRetention    = "The requested date is older than the allowed retention period and cannot be retrieved."
	textLimit        = "Download limit exceeded. Please try again later."
	textLinkExpired  = "The download link has expired. Please request a new presigned URL to access the audio files."
	textTooLarge     = "The request body is too large."
	textGone         = "The archive behind this link is no longer available. Please request a new link."
)

// The WWW-Authenticate of requests with a token.
const (
	challengeToken = `Bearer error="invalid_token"`
	challengeScope = `Bearer error="insufficient_scope", scope="` + auth.ScopeDataService + `"`
)

// refusal is a check that a request for a day does not pass.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// failure is the family's error shape.
type failure struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	web.JSON(w, r, status, failure{text})
}

// unauthorized writes 401 with its challenge (RFC 6750).
func unauthorized(w http.ResponseWriter, r *http.Request, challenge, text string) {
	w.Header().Set("WWW-Authenticate", challenge)
	refuse(w, r, http.StatusUnauthorized, text)
}

// fail writes an error that is not about the day or the link.
func fail(w http.ResponseWriter, r *http.Request, status int) {
	text := "Internal server error."
	switch status {
	case http.StatusNotFound:
		text = "Not found."
	case http.StatusMethodNotAllowed:
		text = "Method not allowed."
	case http.StatusPreconditionFailed:
		text = "The archive is not the one that the request names."
	case http.StatusRequestedRangeNotSatisfiable:
		text = "The requested range lies behind the end of the archive."
	case http.StatusRequestEntityTooLarge:
		text = textTooLarge
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
		text = "The service is temporarily unavailable. Please try again later."
	}
	refuse(w, r, status, text)
}

// limited writes 429.
func limited(w http.ResponseWriter, r *http.Request, c catalog.Window) {
	limit(w, c)
	w.Header().Set("Retry-After", web.Seconds(c.Reset))
	refuse(w, r, http.StatusTooManyRequests, textLimit)
}

// broken answers for an error that no check explains: 503 when trying again can help.
func (h *handler) broken(w http.ResponseWriter, r *http.Request, doing string, err error) {
	id := telemetry.In(r.Context())
	switch {
	case domain.KindOf(err) == domain.KindUnavailable, domain.KindOf(err) == domain.KindInterrupted,
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		h.deps.Log.Warn("a part does not answer", zap.String("doing", doing), id, zap.Error(err))
		fail(w, r, http.StatusServiceUnavailable)
	default:
		h.deps.Log.Error("a request failed", zap.String("doing", doing), id, zap.Error(err))
		fail(w, r, http.StatusInternalServerError)
	}
}
