package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

const signinPath = "/admin/signin"

type signinPage struct {
	Next  string
	Wrong string // what was wrong with the attempt before
}

// showSignin is GET /admin/signin.
func (h *handler) showSignin(w http.ResponseWriter, r *http.Request) {
	next := consolePath(r.URL.Query().Get("next"))
	switch {
	case h.closed():
		h.render(w, r, http.StatusForbidden, "closed", view{Title: "The console is closed"})
	case h.signedIn(r):
		h.redirect(w, r, next)
	default:
		h.render(w, r, http.StatusOK, "signin", view{Title: "Sign in", Data: signinPage{Next: next}})
	}
}

// signin is POST /admin/signin.
func (h *handler) signin(w http.ResponseWriter, r *http.Request) {
	if h.closed() {
		h.showSignin(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxForm)
	if large := (*http.MaxBytesError)(nil); errors.As(r.ParseForm(), &large) {
		h.fail(w, r, http.StatusRequestEntityTooLarge)
		return
	}
	page := signinPage{Next: consolePath(r.PostFormValue("next"))}
	right, wait := h.token.Check(r, strings.TrimSpace(r.PostFormValue("token")))
	switch {
	case wait > 0:
		w.Header().Set("Retry-After", web.Seconds(wait))
		page.Wrong = "Too many wrong tokens came from your address. Try again in " + duration(wait) + ", or with the right one."
		h.render(w, r, http.StatusTooManyRequests, "signin", view{Title: "Sign in", Data: page})
		return
	case !right:
		page.Wrong = "That is not the admin token."
		h.render(w, r, http.StatusUnauthorized, "signin", view{Title: "Sign in", Data: page})
		return
	}
	h.deps.Log.Info("an operator signed in", zap.String("remote", web.Remote(r)), telemetry.In(r.Context()))
	h.setCookie(w, r, h.sessions.issue())
	h.redirect(w, r, page.Next)
}

// signout is POST /admin/signout. It ends the session on every replica, also for copies of the
// cookie.
func (h *handler) signout(w http.ResponseWriter, r *http.Request) {
	if s, ok := h.session(r); ok {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		if err := h.deps.Catalog.EndSession(ctx, s.id, s.until); err != nil {
			h.failHTML(w, r, "end the session", err)
			return
		}
	}
	h.setCookie(w, r, "")
	h.redirect(w, r, signinPath)
}

// needSession requires a session. A browser without one is redirected to sign in; other clients get
// 401.
func (h *handler) needSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signedIn := h.signedIn(r)
		page := strings.Contains(r.Header.Get("Accept"), "text/html") || r.Header.Get("Accept") == ""
		switch {
		case signedIn && web.TooLarge(r):
			h.fail(w, r, http.StatusRequestEntityTooLarge)
		case signedIn:
			next.ServeHTTP(w, r)
		case h.closed():
			h.showSignin(w, r)
		case !page:
			http.Error(w, "sign in at "+h.cfg.BasePath+signinPath, http.StatusUnauthorized)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			h.redirect(w, r, signinPath+"?next="+url.QueryEscape(r.URL.RequestURI()))
		default:
			h.redirect(w, r, signinPath)
		}
	})
}

// withSession is needSession for a handler that may be nil.
func (h *handler) withSession(next http.HandlerFunc) http.HandlerFunc {
	if next == nil {
		return nil
	}
	return h.needSession(next).ServeHTTP
}

// consolePath gives text when it is a path of the console, else "/admin", so that no redirect leads
// to another site.
func consolePath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || path.Clean(u.Path) != u.Path ||
		!web.Under("/admin")(u.Path) || u.Path == signinPath || strings.ContainsAny(text, "\\\r\n\t") {
		return "/admin"
	}
	return u.RequestURI()
}
