package admin

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

const queuesPath = "/admin/queues"

// queuesPolicy allows the inline script and styles of the dashboard's pages. It forbids the fonts
// of another host, which the dashboard does not need.
const queuesPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// connection lets the dashboard use the queue's client.
type connection struct{ client redis.UniversalClient }

func (c connection) MakeRedisClient() any { return c.client }

// queues is the dashboard of the queues. It checks neither sessions nor the origin of requests, so
// the console must.
func (h *handler) queues() http.Handler {
	dashboard := asynqmon.New(asynqmon.Options{RootPath: h.cfg.BasePath + queuesPath, RedisConnOpt: connection{h.deps.Redis}, ReadOnly: h.cfg.ReadOnly})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete:
			if r.URL.Path == queuesPath+"/api/metrics" { // it would query a Prometheus that is not configured
				h.fail(w, r, http.StatusNotFound)
				return
			}
		default: // its own answer has no body
			head.Set("Allow", "GET, HEAD, POST, DELETE")
			h.fail(w, r, http.StatusMethodNotAllowed)
			return
		}
		head.Set("Content-Security-Policy", queuesPolicy)
		head.Set("Referrer-Policy", "same-origin")
		head.Set("X-Frame-Options", "DENY")
		if err := h.auditQueues(r); err != nil {
			status, _ := h.explain(r, "write the audit log", err)
			h.fail(w, r, status)
			return
		}
		a := &dashboardAnswer{ResponseWriter: w}
		dashboard.ServeHTTP(a, h.withBasePath(r))
		if a.failed {
			h.answerFailure(w, r, strings.TrimSpace(a.text.String()))
		}
	})
}

// withBasePath gives the request with the path that the dashboard's pages ask for.
func (h *handler) withBasePath(r *http.Request) *http.Request {
	within, address := *r, *r.URL
	address.Path, address.RawPath = h.cfg.BasePath+r.URL.Path, ""
	within.URL = &address
	return &within
}

// actionQueues is a change of the queues by way of the dashboard, in the audit log.
const actionQueues = "queues.change"

// queuesDetail is its detail.
type queuesDetail struct {
	Method string `json:"method"`
	Path   string `json:"path"` // below the dashboard's own: "queues/build:pause"
	audit.Origin
}

// auditQueues writes the audit line of a change. Redis and the catalog have no common transaction,
// so the line is written before the change.
func (h *handler) auditQueues(r *http.Request) error {
	if h.cfg.ReadOnly || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	o := origin(r)
	detail := queuesDetail{r.Method, strings.TrimPrefix(r.URL.Path, queuesPath+"/api/"), o}
	return h.deps.Catalog.AppendAudit(ctx, o, "", actionQueues, detail)
}

// dashboardAnswer keeps a 500 of the dashboard, and passes every other answer on.
type dashboardAnswer struct {
	http.ResponseWriter
	failed bool
	text   bytes.Buffer // of the 500
}

func (a *dashboardAnswer) WriteHeader(status int) {
	if status == http.StatusInternalServerError {
		a.failed = true
		return
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *dashboardAnswer) Write(p []byte) (int, error) {
	if a.failed {
		return a.text.Write(p)
	}
	return a.ResponseWriter.Write(p)
}

// pingTimeout is how long Redis may take to answer a ping.
const pingTimeout = 2 * time.Second

// answerFailure answers when the dashboard gave a 500. It gives one for nearly every error, also
// for a task that a worker took before the operator clicked.
func (h *handler) answerFailure(w http.ResponseWriter, r *http.Request, text string) {
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	says := func(phrases ...string) bool {
		return slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(text, p) })
	}
	err := errors.New(text)
	switch {
	case says("NOT_FOUND", "not found", "does not exist"):
		err = domain.Wrap(domain.KindNotFound, err, "%s", text)
	case says("FAILED_PRECONDITION", "already paused", "not paused"):
		err = domain.Wrap(domain.KindConflict, err, "%s", text)
	case h.deps.Redis.Ping(ctx).Err() != nil:
		err = domain.Wrap(domain.KindUnavailable, err, "Redis does not answer")
	}
	status, _ := h.explain(r, "show the queues", err)
	switch status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
		text = "Redis does not answer; try again in a moment"
	case http.StatusInternalServerError:
		text = "the queues cannot be shown; the log says why"
	}
	http.Error(w, text, status)
}
