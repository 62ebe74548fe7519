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

// refusal is an answer in the family's error shape.
type refusal struct {
	status int
	problem
}

func (r refusal) Error() string { return r.problem.Error }

func refused(status int, reason string) refusal { return refusal{status, problem{Error: reason}} }

// handle makes a handler that writes the answer for the error of serve.
func (h *handler) handle(serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil {
			return
		}
		no, known := errors.AsType[refusal](err)
		if !known {
			no = refused(h.explain(r, err))
		}
		refuse(w, r, no)
	}
}

func refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	if no.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	web.JSON(w, r, no.status, no.problem)
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) {
	refuse(w, r, refused(status, http.StatusText(status)+"."))
}

// explain gives the status of an error and its reason, and logs the error unless it is the
// caller's.
func (h *handler) explain(r *http.Request, err error) (status int, reason string) {
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
	case domain.KindConflict, domain.KindUnreadable: // an unreadable object can't be compared, and is never replaced
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
