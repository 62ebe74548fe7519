package ingest

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// problem is the body of every error. Line and Stored are set when lines were read.
type problem struct {
	Error  string `json:"error"`
	Line   int    `json:"line,omitempty"`
	Stored *int   `json:"stored,omitempty"` // lines that are stored, in whole batches
}

func refused(status int, reason string) web.Refusal {
	return web.Refusal{Status: status, Body: problem{Error: reason}}
}

// explain gives the answer for an error, and logs the error unless it is the caller's.
func (h *handler) explain(r *http.Request, err error) web.Refusal { return refused(h.reason(r, err)) }

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) {
	refused(status, http.StatusText(status)+".").Write(w, r)
}

// reason gives the status of an error and its reason, and logs the error unless it is the
// caller's.
func (h *handler) reason(r *http.Request, err error) (status int, reason string) {
	kind := domain.KindOf(err)
	if errors.Is(err, context.Canceled) { // the process stops
		kind = domain.KindInterrupted
	}
	switch kind {
	case domain.KindInvalid:
		return http.StatusBadRequest, domain.SafeMessage(err)
	case domain.KindInterrupted:
		return http.StatusBadRequest, "The body ended early or could not be read."
	case domain.KindForbidden:
		return http.StatusForbidden, domain.SafeMessage(err)
	case domain.KindNotFound:
		return http.StatusNotFound, domain.SafeMessage(err)
	case domain.KindConflict, domain.KindEnding, domain.KindUnreadable: // an unreadable object can't be compared, and is never replaced
		return http.StatusConflict, domain.SafeMessage(err)
	case domain.KindTooLarge:
		return http.StatusRequestEntityTooLarge, "The object is larger than the object store takes."
	case domain.KindUnavailable:
		h.deps.Log.Warn("a part does not answer", zap.String("what", web.Doing(err)), zap.Error(err), telemetry.In(r.Context()))
		return http.StatusServiceUnavailable, "The service is not available. Please try again."
	}
	h.deps.Log.Error("taking data in failed", zap.String("what", web.Doing(err)), zap.Error(err), telemetry.In(r.Context()))
	if kind == domain.KindRefused { // the caller is the operator's own platform, which may know the reason
		return http.StatusInternalServerError, domain.SafeMessage(err)
	}
	return http.StatusInternalServerError, "Internal Server Error."
}
