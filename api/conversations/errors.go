package conversations

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// Types of invalid parameters, as the dialect under /v1/convai names them.
const (
	typeText    = "string_type"
	typeWhole   = "int_parsing"
	typeChoice  = "enum"
	typeCursor  = "value_error"
	typeUnknown = "value_error.query"
)

// failure is the family's error shape.
type failure struct {
	Detail detail `json:"detail"`
}

type detail struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// invalidity is the shape for a bad parameter under /v1/convai.
type invalidity struct {
	Detail []fault `json:"detail"`
}

type fault struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

func refuse(w http.ResponseWriter, r *http.Request, status int, name, message string) {
	web.JSON(w, r, status, failure{detail{name, message}})
}

// invalid answers for a bad parameter. name is "" when nobody can tell which one.
func (c *call) invalid(where, name, message, kind string) {
	if !c.convai {
		refuse(c.w, c.r, http.StatusBadRequest, "invalid_parameter", message)
		return
	}
	loc := []string{where}
	if name != "" {
		loc = append(loc, name)
	}
	web.JSON(c.w, c.r, http.StatusUnprocessableEntity, invalidity{[]fault{{loc, message, kind}}})
}

func (c *call) notFound() {
	refuse(c.w, c.r, http.StatusNotFound, "conversation_not_found", "The conversation does not exist.")
}

// fail writes an error that is not about a parameter.
func fail(w http.ResponseWriter, r *http.Request, status int) {
	name, message := "internal_error", "Internal server error."
	switch status {
	case http.StatusUnauthorized:
		name, message = "invalid_api_key", "The API key is missing or invalid."
	case http.StatusNotFound:
		name, message = "not_found", "Not found."
	case http.StatusMethodNotAllowed:
		name, message = "method_not_allowed", "Method not allowed."
	case http.StatusPreconditionFailed:
		name, message = "precondition_failed", "The recording is not the one that the request names."
	case http.StatusRequestEntityTooLarge:
		name, message = "payload_too_large", "The request body is too large."
	case http.StatusRequestedRangeNotSatisfiable:
		name, message = "range_not_satisfiable", "The requested range lies behind the end of the recording."
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
		name, message = "unavailable", "The service is temporarily unavailable. Please try again later."
	}
	refuse(w, r, status, name, message)
}

// broken answers for an error that no check explains: 503 when trying again can help.
func (h *handler) broken(c *call, doing string, err error) {
	status := http.StatusInternalServerError
	if domain.KindOf(err) == domain.KindUnavailable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		status = http.StatusServiceUnavailable
	}
	h.deps.Log.Warn("a request failed", zap.String("doing", doing), zap.Int("status", status),
		telemetry.In(c.r.Context()), zap.Error(err))
	fail(c.w, c.r, status)
}
