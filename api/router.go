package api

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/cors"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/docs"
	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

// Family is a group of endpoints with one error shape; the packages below api give theirs.
type Family = web.Family

// Bodies bounds the bodies that pass through this process at once. Families share one.
type Bodies = web.Bodies

// BodyLimits are what Bodies hold to.
type BodyLimits = web.BodyLimits

// NewBodies makes Bodies; zero limits take their defaults.
func NewBodies(l BodyLimits) *Bodies { return web.NewBodies(l) }

// Config is what the router itself needs to know.
type Config struct {
	CORSOrigins []string // origins whose pages may call; none when empty
}

// Deps are the parts that the router works with.
type Deps struct {
	Families []Family // the first that owns a path answers
	Log      *zap.Logger
	Now      func() time.Time

	// Pages are answered by GET under their path, such as health.
	Pages map[string]http.HandlerFunc

	// Observe is told of every answer, for metrics; optional. It must not wait.
	Observe func(Answer)

	// Tracer makes the spans of requests; none when nil.
	Tracer trace.TracerProvider
}

// Answer is how a request was answered.
type Answer struct {
	Family string
	Route  string // pattern of the path, "" where none fits
	Method string // as it came: strangers may have invented it
	Status int    // 0 when the connection broke before the answer began
	Bytes  int64
	Took   time.Duration
}

// New makes the handler of everything that clients call.
func New(cfg Config, deps Deps) http.Handler {
	d := &dispatcher{deps: deps, families: append(described(deps.Families), own(deps))}
	var h http.Handler = http.HandlerFunc(d.serve)
	if len(cfg.CORSOrigins) > 0 { // with none the middleware would allow all
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
	return identify(patience(h))
}

// dispatcher finds the family of a request and guards it.
type dispatcher struct {
	deps     Deps
	families []Family
}

func (d *dispatcher) serve(w http.ResponseWriter, r *http.Request) {
	start := d.deps.Now()
	family := d.family(r)
	r, span := d.begin(family, r)
	out := &recorder{ResponseWriter: w}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	defer end(span, family, r, out)
	defer d.done(family, out, r, start)
	defer d.recover(family, out, r)
	if r.Method == http.MethodHead { // RFC 9110, 14.2: a range is GET's alone
		r.Header.Del("Range")
	}
	if family.Streams != nil && family.Streams(r) {
		stream(r)
	} else {
		r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody)
	}
	family.Handler.ServeHTTP(out, r)
}

// family gives the owner of the request's path; the last one owns everything.
func (d *dispatcher) family(r *http.Request) Family {
	path := r.URL.EscapedPath()
	last := len(d.families) - 1
	for _, f := range d.families[:last] {
		if f.Owns(path) {
			return f
		}
	}
	return d.families[last]
}

// recover answers for a handler that panicked. Where the answer has begun the connection is
// broken, so that nobody takes it for a whole one.
func (d *dispatcher) recover(family Family, out *recorder, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's own way to break a connection
	}
	d.deps.Log.Error("a handler panicked", zap.Any("cause", cause), telemetry.In(r.Context()), zap.Stack("stack"))
	if out.status != 0 {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's own way to break a connection
	}
	family.Fail(out, r, http.StatusInternalServerError)
}

// done logs the answer: by its route, since a path may hold what its caller's customers are called or
// their numbers, and the query a link's token.
func (d *dispatcher) done(family Family, out *recorder, r *http.Request, start time.Time) {
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

// described gives families and, where one of them has an OpenAPI document, the page of all.
func described(families []Family) []Family {
	all := slices.Clone(families)
	if slices.ContainsFunc(families, func(f Family) bool { return len(f.Spec) > 0 }) {
		all = append(all, docs.New(families, fail))
	}
	return all
}

// ownName stands for no family in logs and metrics.
const ownName = "none"

// own is what the router answers itself: its pages, the OpenAPI documents, and 404 for the rest.
func own(deps Deps) Family {
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
			_, _ = w.Write(f.Spec) // a caller that is gone needs no answer
		}}
	}
	pages["/openapi"] = web.Methods{Fail: fail, Get: func(w http.ResponseWriter, r *http.Request) {
		web.JSON(w, r, http.StatusOK, map[string][]string{"documents": names})
	}}
	return Family{Name: ownName, Fail: fail, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page := pages[r.URL.Path]; page != nil {
			telemetry.SetRoute(r.Context(), r.URL.Path)
			page.ServeHTTP(w, r)
			return
		}
		fail(w, r, http.StatusNotFound)
	})}
}
