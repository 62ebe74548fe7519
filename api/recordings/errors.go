package recordings

import (
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
	textGone         = "The archive behind this link is no longer available. Please request a new link."
)

// The WWW-Authenticate of requests with a token.
const (
	challengeToken = `Bearer error="invalid_token"`
	challengeScope = `Bearer error="insufficient_scope", scope="` + auth.ScopeDataService + `"`
)

// refusal is an answer in the family's error shape.
type refusal struct {
	status    int
	text      string
	challenge string // WWW-Authenticate of a 401 or a 403; "" for none
}

func (r refusal) Error() string { return r.text }

// unauthorized is a 401 with its challenge (RFC 6750).
func unauthorized(challenge, text string) refusal {
	return refusal{http.StatusUnauthorized, text, challenge}
}

// limited is a 429, and sets the headers of the limit.
func limited(w http.ResponseWriter, window catalog.Window) refusal {
	limit(w, window)
	w.Header().Set("Retry-After", web.Seconds(window.Reset))
	return refusal{status: http.StatusTooManyRequests, text: textLimit}
}

// refused gives the refusal of a status that has one text.
func refused(status int) refusal {
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
		text = "The request body is too large."
	case http.StatusServiceUnavailable:
		text = "The service is temporarily unavailable. Please try again later."
	}
	return refusal{status: status, text: text}
}

// handle makes a handler that writes the answer for the error of serve.
func (h *handler) handle(serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil {
			return
		}
		no, known := errors.AsType[refusal](err)
		fields := []zap.Field{zap.String("doing", web.Doing(err)), telemetry.In(r.Context()), zap.Error(err)}
		switch {
		case known:
		case web.Unavailable(err, domain.KindInterrupted):
			no = refused(http.StatusServiceUnavailable)
			h.deps.Log.Warn("a part does not answer", fields...)
		default:
			no = refused(http.StatusInternalServerError)
			h.deps.Log.Error("a request failed", fields...)
		}
		refuse(w, r, no)
	}
}

func refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	if no.challenge != "" {
		w.Header().Set("WWW-Authenticate", no.challenge)
	}
	if no.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	web.JSON(w, r, no.status, struct {
		Error string `json:"error"`
	}{no.text})
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refuse(w, r, refused(status)) }
