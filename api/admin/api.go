package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
)

const apiRoot = "/api/admin/v1"

// api is the handler of /api/admin/v1.
func (h *handler) api() http.Handler {
	mux := chi.NewRouter()
	mux.Use(h.needToken, validPath(failJSON))
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) { failJSON(w, r, http.StatusNotFound) })
	mux.MethodNotAllowed(web.UnknownMethods(mux, failJSON))
	ok := func(doing string, serve func(r *http.Request) (any, error)) http.HandlerFunc {
		return h.json(http.StatusOK, doing, serve)
	}
	at := func(path string, m web.Methods) {
		m.Fail = failJSON
		mux.Handle(apiRoot+path, m)
	}
	at("/tenants", web.Methods{Get: ok("list the tenants", h.getTenants)})
	at("/tenants/{tenant}", web.Methods{Get: ok("read the tenant", h.getTenant), Del: ok("delete the tenant", h.deleteTenant)})
	at("/tenants/{tenant}/source-retention", web.Methods{Put: ok("set the source retention", h.putSourceRetention)})
	at("/tenants/{tenant}/close", web.Methods{Post: ok("close the tenant", h.postClose)})
	at("/tenants/{tenant}/open", web.Methods{Post: ok("open the tenant", h.postOpen)})
	at("/tenants/{tenant}/features/{feature}", web.Methods{Put: ok("switch a feature", h.putFeature)})
	at("/tenants/{tenant}/recordings/correct", web.Methods{Post: ok("correct a recording", h.postCorrection)})
	at("/tenants/{tenant}/totals/correct", web.Methods{Post: ok("correct a total", h.postTotalCorrection)})
	at("/tenants/{tenant}/totals/remove", web.Methods{Post: ok("remove a total", h.postTotalRemoval)})
	at("/tenants/{tenant}/webhooks", web.Methods{Get: ok("list the webhooks", h.getWebhooks), Post: h.json(http.StatusCreated, "make a webhook", h.postWebhook)})
	at("/tenants/{tenant}/webhooks/{webhook}", web.Methods{Put: ok("change a webhook", h.putWebhook), Del: ok("delete a webhook", h.deleteWebhook)})
	at("/tenants/{tenant}/webhooks/{webhook}/rotate", web.Methods{Post: ok("rotate a webhook's secret", h.postRotate)})
	at("/tenants/{tenant}/webhooks/{webhook}/test", web.Methods{Post: ok("test a webhook", h.postTest)})
	at("/tenants/{tenant}/deliveries", web.Methods{Get: ok("list the deliveries", h.getDeliveries)})
	at("/tenants/{tenant}/deliveries/replay", web.Methods{Post: ok("replay", h.postReplay)})
	at("/tenants/{tenant}/holds", web.Methods{Get: ok("list the holds", h.getHolds), Post: h.json(http.StatusCreated, "create a hold", h.postHold)})
	at("/tenants/{tenant}/erasures", web.Methods{Get: ok("list the erasures", h.getErasures), Post: h.json(http.StatusAccepted, "order an erasure", h.postErasure)})
	at("/tenants/{tenant}/erasures/preview", web.Methods{Post: ok("preview an erasure", h.postPreview)})
	at("/tenants/{tenant}/erasures/{erasure}", web.Methods{Get: ok("read the erasure", h.getErasure)})
	at("/tenants/{tenant}/holds/release", web.Methods{Post: ok("release a hold", h.postRelease)})
	at("/tenants/{tenant}/history", web.Methods{Get: ok("read the former values", h.getHistory)})
	at("/tenants/{tenant}/days/{day}", web.Methods{Get: ok("read the day", h.getDay)})
	at("/tenants/{tenant}/days/{day}/rebuild", web.Methods{Post: ok("rebuild", h.postRebuild)})
	at("/tenants/{tenant}/days/{day}/retry", web.Methods{Post: ok("retry", h.postRetry)})
	at("/tenants/{tenant}/days/{day}/reopen", web.Methods{Post: ok("reopen", h.postReopen)})
	at("/tenants/{tenant}/days/{day}/hours/{hour}", web.Methods{Get: ok("read the hour", h.getHour)})
	at("/tenants/{tenant}/days/{day}/hours/{hour}/rebuild", web.Methods{Post: ok("rebuild", h.postRebuild)})
	at("/tenants/{tenant}/days/{day}/hours/{hour}/archives/{revision}", web.Methods{Get: h.getArchive(h.explainJSON)})
	at("/calendar", web.Methods{Get: h.compress(ok("read the calendar", h.getCalendar))})
	at("/running", web.Methods{Get: ok("read what runs", h.getRunning)})
	at("/failed", web.Methods{Get: ok("list what failed", h.getFailed)})
	at("/faults", web.Methods{Get: ok("list the faults", h.getFaults)})
	at("/failed/retry", web.Methods{Post: ok("retry", h.postRetryAll)})
	return mux
}

// needToken requires the admin token.
func (h *handler) needToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.closed() {
			refuseJSON(w, r, http.StatusForbidden, "The admin API is closed: CALLVAULT_ADMIN_TOKEN is not set.")
			return
		}
		token, present := web.Bearer(r)
		if !present {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuseJSON(w, r, http.StatusUnauthorized, "The admin token is missing; send it as Authorization: Bearer.")
			return
		}
		right, wait := h.token.Check(r, token)
		switch {
		case wait > 0:
			w.Header().Set("Retry-After", web.Seconds(wait))
			refuseJSON(w, r, http.StatusTooManyRequests, "Too many wrong tokens came from this address. Try again later, or with the right one.")
			return
		case !right:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			refuseJSON(w, r, http.StatusUnauthorized, "That is not the admin token.")
			return
		case web.TooLarge(r):
			failJSON(w, r, http.StatusRequestEntityTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// validPath answers 404 for a path that is not valid text: no database column can hold it.
func validPath(fail func(w http.ResponseWriter, r *http.Request, status int)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !web.ValidText(r.URL.Path) {
				fail(w, r, http.StatusNotFound)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// readJSON reads an object, which may be absent. Errors: KindInvalid, KindTooLarge.
func readJSON(r *http.Request, into any) error {
	raw, err := web.Body(r, web.MaxBody)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return err
	}
	if bytes.Contains(raw, []byte(`\u0000`)) {
		return domain.Errorf(domain.KindInvalid, "the body holds a NUL, which is no text")
	}
	// The decoder would replace such characters, and a hold would then name another conversation.
	if !utf8.Valid(raw) || rawjson.HasLoneSurrogate(raw) {
		return domain.Errorf(domain.KindInvalid, "the body is not UTF-8, or holds half of a surrogate pair")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields() // a misspelt field must not be ignored
	if err := d.Decode(into); err != nil {
		return wrongBody(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return domain.Errorf(domain.KindInvalid, "something stands behind the body's JSON object")
	}
	return nil
}

// wrongBody names the field because of which a body can't be decoded, if there is one.
func wrongBody(err error) error {
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) && mistyped.Field != "" {
		return domain.Wrap(domain.KindInvalid, err, "%q of the body is a JSON %.40s, and must be of another type or size", mistyped.Field, mistyped.Value)
	}
	if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return domain.Wrap(domain.KindInvalid, err, "the body has the field %.100s, which is not known here", field)
	}
	return domain.Wrap(domain.KindInvalid, err, "the body is not the JSON object that this takes")
}

// readChange reads an object as readJSON does. Error: KindForbidden when nothing can be changed.
func (h *handler) readChange(r *http.Request, into any) error {
	if err := readJSON(r, into); err != nil {
		return err
	}
	return h.writable()
}
