package admin

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// policy lets a page load only the styles and the script of the console, and no site frame it.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pages are the parsed templates by name, each with the layout.
type pages map[string]*template.Template

func loadPages(basePath string) (pages, error) {
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	base, err := template.New("layout.html").Funcs(formats(basePath)).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, err
	}
	all := pages{}
	for _, name := range names {
		short := strings.TrimSuffix(path.Base(name), ".html")
		if short == "layout" || short == "parts" {
			continue
		}
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if all[short], err = t.ParseFS(pageFiles, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// view is the data of a page's template.
type view struct {
	Title    string
	Nav      string // the entry of the menu that the page belongs to
	Live     bool   // the page updates itself; without script it reloads
	SignedIn bool
	ReadOnly bool
	Notice   string // the result of the action before
	Data     any
}

// wholePage is the template of a page with its layout.
const wholePage = "layout.html"

// render writes a page, or an error when its template fails.
func (h *handler) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	h.renderPart(w, r, status, name, wholePage, v)
}

func (h *handler) renderPart(w http.ResponseWriter, r *http.Request, status int, name, part string, v view) {
	v.SignedIn, v.ReadOnly, v.Notice = v.SignedIn || h.signedIn(r), h.cfg.ReadOnly, notice(r)
	var b bytes.Buffer
	if err := h.pages[name].ExecuteTemplate(&b, part, v); err != nil {
		h.deps.Log.Error("a page failed", zap.String("page", name), telemetry.In(r.Context()), zap.Error(err))
		http.Error(w, "This page failed. The log says why.", http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", policy)
	head.Set("Cache-Control", "no-store")
	head.Set("Referrer-Policy", "same-origin")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // an error means that the browser is gone
	}
}

// asset is GET /admin/assets/{name}: styles and script, for anybody.
func asset(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	http.ServeFileFS(w, r, assetFiles, "assets/"+path.Base(r.URL.Path))
}

// notice is the result of the action before, which the page's query holds as a name and a number.
func notice(r *http.Request) string {
	q := r.URL.Query()
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 {
		return ""
	}
	switch q.Get("done") {
	case "rebuild":
		if n == 0 {
			return "Nothing is due: no hour has failed or waits for a build."
		}
		return count(n, "hour is", "hours are") + " due now and will be built."
	case "retry":
		if n == 0 {
			return "Nothing had failed."
		}
		return retried(n)
	case "retry-some":
		return retried(n) + " More have failed: retry those too."
	case "reopen":
		return "The day is open for another retention period. " + count(n, "hour is", "hours are") + " due now and will be built."
	case "total":
		return "The total was changed."
	case "replay":
		if n == 0 {
			return "It is being delivered already."
		}
		return "It is delivered again."
	case "feature":
		return "The feature was switched " + onOff(n > 0) + "."
	}
	return ""
}

func retried(n int) string {
	return "You asked to retry " + count(n, "failed hour. It is", "failed hours. They are") +
		" due now, with all attempts, and built as soon as a worker is free. What fails again comes back to Failed."
}

type problem struct{ Heading, Text string }

// fail writes an error without a message of its own.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, status int) {
	if status == web.StatusClientGone {
		w.WriteHeader(status)
		return
	}
	text := "Something went wrong here. The log says what."
	switch status {
	case http.StatusNotFound:
		text = "There is no such page."
	case http.StatusMethodNotAllowed:
		text = "This page cannot be asked for in this way."
	case http.StatusForbidden:
		text = "The request came from another site, so it was not followed."
	case http.StatusRequestEntityTooLarge:
		text = "The request is too large."
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
		text = "A part that this page needs does not answer. Try again in a moment."
	}
	h.refuse(w, r, status, text)
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	h.render(w, r, status, "problem", view{Title: http.StatusText(status), Data: problem{http.StatusText(status), text}})
}
