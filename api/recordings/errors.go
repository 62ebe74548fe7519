package recordings

import (
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
	textNotSealed    = "The day is not sealed yet."
	textGone         = "The archive behind this link is no longer available. Please request a new link."
)

// The WWW-Authenticate of requests with a token.
const (
	challengeToken = `Bearer error="invalid_token"`
	challengeScope = `Bearer error="insufficient_scope", scope="` + auth.ScopeDataService + `"`
)

type failure struct {
	Error string `json:"error"`
}

func refusal(status int, text string) web.Refusal {
	return web.Refusal{Status: status, Body: failure{text}}
}

// unauthorized is a 401 with its challenge (RFC 6750).
func unauthorized(challenge, text string) web.Refusal {
	return web.Refusal{Status: http.StatusUnauthorized, Body: failure{text}, Challenge: challenge}
}

// limited is a 429, and sets the headers of the limit.
func limited(w http.ResponseWriter, window catalog.Window) web.Refusal {
	limit(w, window)
	w.Header().Set("Retry-After", web.Seconds(window.Reset))
	return refusal(http.StatusTooManyRequests, textLimit)
}

// refused gives the refusal for a status that always has the same text.
func refused(status int) web.Refusal { return refusal(status, web.RefusalText(status, "archive")) }

// explain gives the answer for an error that is not the caller's, and logs it.
func (h *handler) explain(r *http.Request, err error) web.Refusal {
	fields := []zap.Field{zap.String("doing", web.Doing(err)), telemetry.In(r.Context()), zap.Error(err)}
	if web.Unavailable(err, domain.KindInterrupted) {
		h.deps.Log.Warn("a part does not answer", fields...)
		return refused(http.StatusServiceUnavailable)
	}
	h.deps.Log.Error("a request failed", fields...)
	return refused(http.StatusInternalServerError)
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refused(status).Write(w, r) }
