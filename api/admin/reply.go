package admin

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// requestTimeout bounds all that a request asks of the catalog.
const requestTimeout = 15 * time.Second

// answer is the answer of a handler of the console: a page, or a redirect after an action.
type answer struct {
	page     string // name of its template
	part     string // the part of the page that its script asks for; "" for the whole page
	view     view
	redirect string // address; "" for a page
}

// html makes a handler of the console, which writes the answer or the error of serve. doing names
// what serve does, for the log.
func (h *handler) html(doing string, serve func(r *http.Request) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		a, err := serve(r.WithContext(ctx))
		switch {
		case err != nil:
			h.failHTML(w, r, doing, err)
		case a.redirect != "":
			h.redirect(w, r, a.redirect)
		default:
			a.view.SignedIn = true // needSession has checked it
			h.renderPart(w, r, http.StatusOK, a.page, cmp.Or(a.part, wholePage), a.view)
		}
	}
}

// redirect answers with another page of the console, whose path begins with /admin.
func (h *handler) redirect(w http.ResponseWriter, r *http.Request, path string) {
	http.Redirect(w, r, h.cfg.BasePath+path, http.StatusSeeOther) //nolint:gosec // the path is one of the console: signin checks what a form names
}

// failHTML writes the page of an error.
func (h *handler) failHTML(w http.ResponseWriter, r *http.Request, doing string, err error) {
	if status, text := h.explain(r, doing, err); text != "" {
		h.refuse(w, r, status, text)
	} else {
		h.fail(w, r, status)
	}
}

// json makes a handler of the API, which writes what serve gives, with status, or its error.
func (h *handler) json(status int, doing string, serve func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		out, err := serve(r.WithContext(ctx))
		if err == nil {
			web.JSON(w, r, status, out)
			return
		}
		h.explainJSON(w, r, doing, err)
	}
}

// explainJSON writes the API's answer of an error.
func (h *handler) explainJSON(w http.ResponseWriter, r *http.Request, doing string, err error) {
	if status, text := h.explain(r, doing, err); text != "" {
		refuseJSON(w, r, status, text)
	} else {
		failJSON(w, r, status)
	}
}

// explain gives the status of an error and its text, "" when the caller must not know it. It logs
// the error unless it is the caller's, or the caller is gone.
func (h *handler) explain(r *http.Request, doing string, err error) (status int, text string) {
	text = sentence(domain.SafeMessage(err))
	switch domain.KindOf(err) {
	case domain.KindNotFound:
		return http.StatusNotFound, text
	case domain.KindInvalid:
		return http.StatusBadRequest, text
	case domain.KindTooLarge:
		return http.StatusRequestEntityTooLarge, text
	case domain.KindExpired, domain.KindConflict:
		return http.StatusConflict, text
	case domain.KindForbidden:
		return http.StatusForbidden, text
	}
	if web.ClientGone(r, err) {
		return web.StatusClientGone, ""
	}
	fields := []zap.Field{zap.String("doing", cmp.Or(web.Doing(err), doing)), telemetry.In(r.Context()), zap.Error(err)}
	switch {
	case domain.KindOf(err) == domain.KindUnavailable, domain.KindOf(err) == domain.KindInterrupted:
		h.deps.Log.Warn("a part does not answer", fields...)
	case r.Context().Err() != nil || web.Unavailable(err):
		h.deps.Log.Warn("a part is too slow", fields...)
	default:
		h.deps.Log.Error("a request failed", fields...)
		return http.StatusInternalServerError, ""
	}
	return http.StatusServiceUnavailable, ""
}

// failureJSON is the API's error shape.
type failureJSON struct {
	Error string `json:"error"`
}

func refuseJSON(w http.ResponseWriter, r *http.Request, status int, text string) {
	web.Refusal{Status: status, Body: failureJSON{text}}.Write(w, r)
}

// failJSON writes an error without a message of its own.
func failJSON(w http.ResponseWriter, r *http.Request, status int) {
	refuseJSON(w, r, status, http.StatusText(status)+".")
}
