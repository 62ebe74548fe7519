package bulk

import (
	"cmp"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	textUnauthorized = "The API key is missing or invalid."
	textFeature      = "The export API is not enabled for this tenant."
	textLimit        = "Rate limit exceeded: 3 requests per second per endpoint. Please try again later."
	textBot          = "No bot has the name or id that bot_name gives."
)

// refusal is an answer in the family's error shape.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// refused gives the refusal of a status that has one text.
func refused(status int) refusal {
	switch status {
	case http.StatusNotFound:
		return refusal{status, "Not found."}
	case http.StatusMethodNotAllowed:
		return refusal{status, "Method not allowed."}
	case http.StatusRequestEntityTooLarge:
		return refusal{status, "The request body is too large."}
	case http.StatusServiceUnavailable:
		return refusal{status, "The service is temporarily unavailable. Please try again later."}
	}
	return refusal{status, "Internal server error."}
}

// handle makes a handler that writes the answer for the error of serve. An error with a web.Step is
// never the caller's.
func (h *handler) handle(serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil {
			return
		}
		doing, kind := web.Doing(err), domain.KindOf(err)
		no, known := errors.AsType[refusal](err)
		switch {
		case known:
		case doing == "" && kind == domain.KindInvalid:
			no = refusal{http.StatusBadRequest, domain.SafeMessage(err)}
		case doing == "" && kind == domain.KindNotFound:
			no = refusal{http.StatusNotFound, textBot}
		default:
			no = refused(http.StatusInternalServerError)
			if web.Unavailable(err) {
				no = refused(http.StatusServiceUnavailable)
			}
			h.deps.Log.Warn("a request failed", zap.String("doing", cmp.Or(doing, "export")), zap.Int("status", no.status),
				telemetry.In(r.Context()), zap.Error(err))
		}
		refuse(w, r, no)
	}
}

func refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	if no.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	web.JSON(w, r, no.status, struct {
		Error string `json:"error"`
	}{no.text})
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refuse(w, r, refused(status)) }
