package bulk

import (
	"cmp"
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

type failure struct {
	Error string `json:"error"`
}

func refusal(status int, text string) web.Refusal {
	return web.Refusal{Status: status, Body: failure{text}}
}

// refused gives the refusal for a status that always has the same text.
func refused(status int) web.Refusal { return refusal(status, web.RefusalText(status, "")) }

// explain gives the answer for an error, and logs the error unless it is the caller's. An error
// with a web.Step is never the caller's.
func (h *handler) explain(r *http.Request, err error) web.Refusal {
	doing, kind := web.Doing(err), domain.KindOf(err)
	switch {
	case doing == "" && kind == domain.KindInvalid:
		return refusal(http.StatusBadRequest, domain.SafeMessage(err))
	case doing == "" && kind == domain.KindNotFound:
		return refusal(http.StatusNotFound, textBot)
	}
	status := http.StatusInternalServerError
	if web.Unavailable(err) {
		status = http.StatusServiceUnavailable
	}
	h.deps.Log.Warn("a request failed", zap.String("doing", cmp.Or(doing, "export")), zap.Int("status", status),
		telemetry.In(r.Context()), zap.Error(err))
	return refused(status)
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refused(status).Write(w, r) }
