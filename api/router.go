package api

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/cors"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/docs"
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

// Family is a group of endpoints with one error shape. Each package below api makes one.
type Family = web.Family

// Store and Presigner are what the families need of a bucket.
type (
	Store     = web.Store
	Presigner = web.Presigner
)

// NewDownloadLimiter makes the limiter that the families share, with its default limits.
func NewDownloadLimiter() *web.DownloadLimiter {
	return web.NewDownloadLimiter(web.DownloadLimits{})
}

// NewSharedToken makes the token that operators set by a variable, with the count of wrong ones
// that the families share. It gives nil for an empty token: no token matches that.
func NewSharedToken(variable, token string, log *zap.Logger, now func() time.Time) *web.SharedToken {
	return web.NewSharedToken(variable, token, log, now)
}

// NewBudget makes the budget of memory that the families share.
func NewBudget() *web.Budget { return web.NewBudget() }

// Config is the router's own settings.
type Config struct {
	CORSOrigins    []string       // origins whose pages may call
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For and X-Forwarded-Proto count
	BasePath       string         // path of the public URL, such as /vault; "" for none
}

// Deps are the parts that the router works with.
type Deps struct {
	Families []Family // the first that owns a path answers
	Log      *zap.Logger
	Now      func() time.Time

	// Pages are answered by GET under their path, such as health.
	Pages map[string]http.HandlerFunc

	// Observe is called with every answer, for metrics; optional. It must not block.
	Observe func(Answer)

	// Tracer makes the spans of requests. There are none when it is nil.
	Tracer trace.TracerProvider
}

// Answer is how a request was answered.
type Answer struct {
	Family string
	Route  string // pattern of the path, "" when no pattern matches
	Method string // as it came: it may be any text
	Status int    // before an answer began: web.StatusClientGone when the client is gone, 0 when the connection broke
	Bytes  int64
	Took   time.Duration
}

// New makes the handler of all families.
func New(cfg Config, deps Deps) http.Handler {
	deps.Families = servedBelow(cfg.BasePath, deps.Families)
	d := &dispatcher{deps: deps, basePath: cfg.BasePath, families: append(withDocs(deps.Families), routerFamily(cfg.BasePath, deps))}
	var h http.Handler = http.HandlerFunc(d.serve)
	if len(cfg.CORSOrigins) > 0 { // without origins the middleware would allow every origin
		h = cors.Handler(cors.Options{
			AllowedOrigins: cfg.CORSOrigins,
			AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
			AllowedHeaders: []string{"Accept", "Authorization", "Content-Type", "If-Match", "If-None-Match", "If-Range", "Range",
				"X-API-Key", "XI-API-Key", "X-Request-Id"},
			ExposedHeaders: []string{"Content-Disposition", "Content-Range", "ETag", "Retry-After", "X-RateLimit-Limit",
				"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"},
			MaxAge: int((10 * time.Minute).Seconds()),
		})(h)
	}
	return web.Forwarded(cfg.TrustedProxies, requestID(bodyDeadlines(h)))
}

// dataPolicy is the Content-Security-Policy of answers that are data. Callers choose much of what
// is in them. If a browser shows one as a page all the same, nothing in it runs, loads or has this
// origin.
const dataPolicy = "sandbox; default-src 'none'; frame-ancestors 'none'"

// dispatcher finds the family of a request, and logs, traces and recovers for it.
type dispatcher struct {
	deps     Deps
	basePath string // as in Config
	families []Family
}

func (d *dispatcher) serve(w http.ResponseWriter, r *http.Request) {
	start := d.deps.Now()
	family := d.route(r)
	r, span := d.startSpan(family, r)
	out := &recorder{ResponseWriter: w}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // that of the connection's former answer
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", dataPolicy) // pages set their own
	defer endSpan(span, family, r, out)
	defer d.logAnswer(family, out, r, start)
	defer out.noteClientGone(r)
	defer d.recover(family, out, r)
	if r.Method == http.MethodHead { // RFC 9110, section 14.2: Range is defined for GET only
		r.Header.Del("Range")
	}
	if family.Streams {
		streamBody(r)
	} else {
		r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody)
	}
	family.Handler.ServeHTTP(out, r)
}

// recover answers 500 for a handler that panicked. When the answer has begun, it breaks the
// connection instead, so that nobody takes the answer for a whole one.
func (d *dispatcher) recover(family Family, out *recorder, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		web.Abort()
	}
	d.deps.Log.Error("a handler panicked", zap.Any("cause", cause), telemetry.In(r.Context()), zap.Stack("stack"))
	if out.status != 0 {
		web.Abort()
	}
	family.Fail(out, r, http.StatusInternalServerError)
}

// logAnswer logs and observes the answer. It names the route, not the path: a path may hold names
// or phone numbers of callers, and a query the token of a link.
func (d *dispatcher) logAnswer(family Family, out *recorder, r *http.Request, start time.Time) {
	took, route := d.deps.Now().Sub(start), telemetry.Route(r.Context())
	if d.deps.Observe != nil {
		d.deps.Observe(Answer{Family: family.Name, Route: route, Method: r.Method, Status: out.status, Bytes: out.bytes, Took: took})
	}
	d.deps.Log.Info("request", zap.String("family", family.Name), zap.String("method", method(r)), zap.String("route", route),
		zap.Int("status", out.status), zap.Int64("bytes", out.bytes), zap.Duration("took", took),
		zap.String("remote", web.Remote(r)), telemetry.In(r.Context()))
}

func fail(w http.ResponseWriter, r *http.Request, status int) {
	web.JSON(w, r, status, map[string]string{"error": http.StatusText(status)})
}

// withDocs adds the family of /docs when any of the families has an OpenAPI document.
func withDocs(families []Family) []Family {
	all := slices.Clone(families)
	if slices.ContainsFunc(families, func(f Family) bool { return len(f.Spec) > 0 }) {
		all = append(all, docs.New(families, fail))
	}
	return all
}

// routerName is the router's own family in logs and metrics.
const routerName = "none"

// isBrowser says whether a request asks for a page to look at.
func isBrowser(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html")
}

// routerFamily answers what no other family owns: pages such as health, the OpenAPI documents, the
// page that browsers get at /, and 404 for the rest.
func routerFamily(basePath string, deps Deps) Family {
	pages := map[string]http.Handler{}
	for path, page := range deps.Pages {
		pages[path] = web.Methods{Fail: fail, Get: page}
	}
	names := []string{}
	for _, f := range deps.Families {
		if len(f.Spec) == 0 {
			continue
		}
		names = append(names, "/openapi/"+f.Name+".yaml")
		pages["/openapi/"+f.Name+".yaml"] = web.Methods{Fail: fail, Get: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/yaml")
			_, _ = w.Write(f.Spec) // an error means that the caller is gone
		}}
	}
	pages["/openapi"] = web.Methods{Fail: fail, Get: func(w http.ResponseWriter, r *http.Request) {
		web.JSON(w, r, http.StatusOK, map[string][]string{"documents": names})
	}}
	owns := func(path string) bool { return pages[path] != nil }
	var front http.HandlerFunc
	if len(names) > 0 {
		front = docs.Front(basePath, deps.Families)
	}
	return Family{Name: routerName, Owns: owns, Fail: fail, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if front != nil && r.URL.Path == "/" && isBrowser(r) {
			telemetry.SetRoute(r.Context(), "/")
			w.Header().Set("Vary", "Accept")
			front(w, r)
			return
		}
		if page := pages[r.URL.Path]; page != nil {
			telemetry.SetRoute(r.Context(), r.URL.Path)
			page.ServeHTTP(w, r)
			return
		}
		fail(w, r, http.StatusNotFound)
	})}
}
