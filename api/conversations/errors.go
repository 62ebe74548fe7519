package conversations

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

// refusal is an answer in the family's error shape.
type refusal struct {
	status  int
	name    string
	message string
}

func (r refusal) Error() string { return r.message }

func notFound() error {
	return refusal{http.StatusNotFound, "conversation_not_found", "The conversation does not exist."}
}

func noRecording() error {
	return refusal{http.StatusNotFound, "audio_not_found", "The conversation has no recording."}
}

// refused gives the refusal of a status that has one text.
func refused(status int) refusal {
	switch status {
	case http.StatusUnauthorized:
		return refusal{status, "invalid_api_key", "The API key is missing or invalid."}
	case http.StatusNotFound:
		return refusal{status, "not_found", "Not found."}
	case http.StatusMethodNotAllowed:
		return refusal{status, "method_not_allowed", "Method not allowed."}
	case http.StatusPreconditionFailed:
		return refusal{status, "precondition_failed", "The recording is not the one that the request names."}
	case http.StatusRequestEntityTooLarge:
		return refusal{status, "payload_too_large", "The request body is too large."}
	case http.StatusRequestedRangeNotSatisfiable:
		return refusal{status, "range_not_satisfiable", "The requested range lies behind the end of the recording."}
	case http.StatusServiceUnavailable:
		return refusal{status, "unavailable", "The service is temporarily unavailable. Please try again later."}
	}
	return refusal{status, "internal_error", "Internal server error."}
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

// answerError writes the answer for the error of a handler.
func (h *handler) answerError(w http.ResponseWriter, r *http.Request, convai bool, err error) {
	w.Header().Del("ETag") // of a recording that is not sent
	param, invalid := errors.AsType[*invalidParam](err)
	no, known := errors.AsType[refusal](err)
	switch {
	case invalid && convai:
		loc := []string{param.where}
		if param.name != "" {
			loc = append(loc, param.name)
		}
		web.JSON(w, r, http.StatusUnprocessableEntity, convaiFailure{[]convaiDetail{{loc, param.message, param.kind}}})
		return
	case invalid:
		no = refusal{http.StatusBadRequest, "invalid_parameter", param.message}
	case !known:
		no = refused(http.StatusInternalServerError)
		if web.Unavailable(err) {
			no = refused(http.StatusServiceUnavailable)
		}
		h.deps.Log.Warn("a request failed", zap.String("doing", web.Doing(err)), zap.Int("status", no.status),
			telemetry.In(r.Context()), zap.Error(err))
	}
	refuse(w, r, no)
}

func refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	switch no.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	web.JSON(w, r, no.status, failure{detail{no.name, no.message}})
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refuse(w, r, refused(status)) }
