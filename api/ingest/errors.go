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

// retryAfter is after how many seconds a caller should try again.
const retryAfter = "5"

func refuse(w http.ResponseWriter, r *http.Request, status int, reason string) {
	answer(w, r, status, problem{Error: reason})
}

func answer(w http.ResponseWriter, r *http.Request, status int, p problem) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	web.JSON(w, r, status, p)
}

// fail is an error without a reason of its own.
func fail(w http.ResponseWriter, r *http.Request, status int) {
	refuse(w, r, status, http.StatusText(status)+".")
}

// failed answers for an error of a part, and logs those that are nobody's mistake but ours.
func (h *handler) failed(w http.ResponseWriter, r *http.Request, what string, err error) {
	status, reason := h.explain(r, what, err)
	refuse(w, r, status, reason)
}

func (h *handler) explain(r *http.Request, what string, err error) (status int, reason string) {
	kind := domain.KindOf(err)
	if errors.Is(err, context.Canceled) { // the caller is gone
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
	case domain.KindConflict:
		return http.StatusConflict, domain.SafeMessage(err)
	case domain.KindUnreadable: // what stands there can't be compared, and is never replaced
		return http.StatusConflict, domain.SafeMessage(err)
	case domain.KindTooLarge:
		return http.StatusRequestEntityTooLarge, "The object is larger than the object store takes."
	case domain.KindUnavailable:
		h.deps.Log.Warn("a part does not answer", zap.String("what", what), zap.Error(err), telemetry.In(r.Context()))
		return http.StatusServiceUnavailable, "The service is not available. Please try again."
	}
	h.deps.Log.Error("taking data in failed", zap.String("what", what), zap.Error(err), telemetry.In(r.Context()))
	if kind == domain.KindRefused { // the operator's own platform asks; it is told what the operator has to mend
		return http.StatusInternalServerError, domain.SafeMessage(err)
	}
	return http.StatusInternalServerError, "Internal Server Error."
}
