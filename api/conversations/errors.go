package conversations

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

func refusal(status int, name, message string) web.Refusal {
	return web.Refusal{Status: status, Body: failure{detail{name, message}}}
}

func notFound() error {
	return refusal(http.StatusNotFound, "conversation_not_found", "The conversation does not exist.")
}

func noRecording() error {
	return refusal(http.StatusNotFound, "audio_not_found", "The conversation has no recording.")
}

// refused gives the refusal for a status that always has the same text.
func refused(status int) web.Refusal {
	name := "internal_error"
	switch status {
	case http.StatusNotFound:
		name = "not_found"
	case http.StatusMethodNotAllowed:
		name = "method_not_allowed"
	case http.StatusPreconditionFailed:
		name = "precondition_failed"
	case http.StatusRequestEntityTooLarge:
		name = "payload_too_large"
	case http.StatusRequestedRangeNotSatisfiable:
		name = "range_not_satisfiable"
	case http.StatusServiceUnavailable:
		name = "unavailable"
	}
	return refusal(status, name, web.RefusalText(status, "recording"))
}

// Types of invalid parameters, as the dialect under /v1/convai names them.
const (
	typeText    = "string_type"
	typeInt     = "int_parsing"
	typeChoice  = "enum"
	typeCursor  = "value_error"
	typeUnknown = "value_error.query"
)

// invalidParam is an error of a parameter. It has a shape of its own under /v1/convai.
type invalidParam struct {
	where   string // "path" or "query"
	name    string // "" when it is not known
	kind    string // one of the types above
	message string
}

func (p *invalidParam) Error() string { return p.message }

type failure struct {
	Detail detail `json:"detail"`
}

type detail struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// convaiFailure is the shape of an invalidParam under /v1/convai.
type convaiFailure struct {
	Detail []convaiDetail `json:"detail"`
}

type convaiDetail struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// explain gives the answer for an error, and logs the error unless it is the caller's.
func (h *handler) explain(r *http.Request, convai bool, err error) web.Refusal {
	if param, invalid := errors.AsType[*invalidParam](err); invalid {
		if !convai {
			return refusal(http.StatusBadRequest, "invalid_parameter", param.message)
		}
		loc := []string{param.where}
		if param.name != "" {
			loc = append(loc, param.name)
		}
		return web.Refusal{Status: http.StatusUnprocessableEntity, Body: convaiFailure{[]convaiDetail{{loc, param.message, param.kind}}}}
	}
	status := http.StatusInternalServerError
	if web.Unavailable(err) {
		status = http.StatusServiceUnavailable
	}
	h.deps.Log.Warn("a request failed", zap.String("doing", web.Doing(err)), zap.Int("status", status),
		telemetry.In(r.Context()), zap.Error(err))
	return refused(status)
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refused(status).Write(w, r) }
