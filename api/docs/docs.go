package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/callvault/callvault/api/internal/web"
)

//go:embed page.html
var pageHTML string

//go:embed front.html
var frontHTML string

//go:embed assets/docs.css
var styles []byte

//go:embed assets/start.js
var start []byte

//go:embed viewer/scalar.js.gz
var viewer []byte

// policy lets the page load from and call only its own address. The viewer needs inline styles.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page is a file of the family. It does not change while the program runs.
type page struct {
	contentType string
	body        []byte
	gzipped     bool // body is
	etag        string
	cached      bool // a browser need not revalidate it for an hour
}

// New makes the family of /docs for the documents of the given families.
func New(families []web.Family, fail func(w http.ResponseWriter, r *http.Request, status int)) web.Family {
	pages := map[string]page{}
	add := func(path string, p page) { pages["/docs"+path] = p.tagged() }
	var list strings.Builder
	for _, f := range families {
		if len(f.Spec) == 0 {
			continue
		}
		name := html.EscapeString(f.Name)
		fmt.Fprintf(&list, "<li><a href=\"docs/openapi/%s.yaml\" data-name=\"%s\">%s</a></li>\n", name, name, html.EscapeString(titleOf(f)))
		add("/openapi/"+f.Name+".yaml", page{contentType: "application/yaml", body: f.Spec})
	}
	add("", page{contentType: "text/html; charset=utf-8", body: []byte(strings.Replace(pageHTML, "<!-- documents -->\n", list.String(), 1))})
	add("/assets/docs.css", page{contentType: "text/css; charset=utf-8", body: styles})
	add("/assets/start.js", page{contentType: "text/javascript; charset=utf-8", body: start})
	add("/assets/scalar.js", page{contentType: "text/javascript; charset=utf-8", body: viewer, gzipped: true, cached: true})
	return web.Family{Name: "docs", Owns: web.Under("/docs"), Fail: fail, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, found := pages[r.URL.Path]
		get := p.serve
		switch {
		case r.URL.Path == "/docs/":
			get = redirectToPage
		case !found:
			fail(w, r, http.StatusNotFound)
			return
		}
		web.Methods{Get: get, Fail: fail}.ServeHTTP(w, r)
	})}
}

// Front makes the page that browsers get at /. It links to /docs, and to the console if one of the
// families is it. basePath is the path of the public URL; without one the links are relative,
// because a proxy may add a path.
func Front(basePath string, families []web.Family) http.HandlerFunc {
	if basePath != "" {
		basePath += "/"
	}
	console := ""
	if slices.ContainsFunc(families, func(f web.Family) bool { return f.Owns("/admin") }) {
		console = "<li><a href=\"{base}admin\">/admin</a>: the operators' console, for whoever has its token</li>\n"
	}
	text := strings.Replace(frontHTML, "<!-- console -->\n", console, 1)
	text = strings.ReplaceAll(text, "{base}", html.EscapeString(basePath))
	return page{contentType: "text/html; charset=utf-8", body: []byte(text)}.tagged().serve
}

// tagged returns the page with its ETag.
func (p page) tagged() page {
	sum := sha256.Sum256(p.body)
	p.etag = `"` + hex.EncodeToString(sum[:12]) + `"`
	return p
}

// redirectToPage redirects /docs/ to /docs by a relative path, because a proxy may add a prefix.
func redirectToPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "../docs")
	w.WriteHeader(http.StatusPermanentRedirect)
}

// titleOf is the title of a family's document, without the program's name.
func titleOf(f web.Family) string {
	_, rest, found := strings.Cut(string(f.Spec), "\n  title: ")
	if !found {
		return f.Name
	}
	title, _, _ := strings.Cut(rest, "\n")
	title = strings.TrimPrefix(strings.Trim(strings.TrimSpace(title), `"'`), "callvault ")
	return strings.ToUpper(title[:1]) + title[1:]
}

func (p page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", p.contentType)
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("ETag", p.etag)
	h.Set("Cache-Control", "no-cache") // a browser keeps it but revalidates it
	if p.cached {
		h.Set("Cache-Control", "public, max-age=3600")
	}
	if p.gzipped {
		h.Set("Vary", "Accept-Encoding")
	}
	if r.Header.Get("If-None-Match") == p.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	out := web.NewTimedWriter(w) // for the viewer, which is large; an error means that the browser is gone
	switch {
	case !p.gzipped:
		_, _ = out.Write(p.body)
	case strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"):
		h.Set("Content-Encoding", "gzip")
		_, _ = out.Write(p.body)
	default:
		if unpacked, err := gzip.NewReader(bytes.NewReader(p.body)); err == nil {
			_, _ = io.Copy(out, unpacked) //nolint:gosec // it is a file of the program
		}
	}
	_ = out.Finish()
}
