package admin

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/telemetry"
)

//go:embed openapi.yaml
var spec []byte

// catalogTimeout bounds what a request waits for the catalog.
const catalogTimeout = 15 * time.Second

// Config says how the console opens.
type Config struct {
	Token    string // the admin token; everything is closed while it is empty
	Origin   string // scheme and host that browsers reach the console by, "" when unknown
	Secure   bool   // browsers reach it over TLS alone: so the cookie goes
	ReadOnly bool   // nothing can be changed
}

// Overview is what the catalog knows of many days. Error: KindUnavailable.
type Overview interface {
	Calendar(ctx context.Context, q catalog.CalendarQuery) (catalog.Calendar, error)
	Tenants(ctx context.Context, after string, limit int) ([]domain.Tenant, error)
	Running(ctx context.Context, limit int) (catalog.Running, error)
	FailedHours(ctx context.Context, after domain.HourKey, limit int) ([]catalog.FailedHour, error)
}

// Details is what the catalog knows of one tenant, day or hour. Errors: KindNotFound for an
// unknown tenant, KindUnavailable.
type Details interface {
	Tenant(ctx context.Context, id string) (domain.Tenant, error)
	Day(ctx context.Context, tenant string, day domain.Day) (catalog.DayView, error)
	DayDownloads(ctx context.Context, tenant string, day domain.Day) ([24]int, error)
	HourHistory(ctx context.Context, key domain.HourKey) (catalog.HourHistory, error)
	LatestAudit(ctx context.Context, tenant string, day domain.Day, hour, limit int) ([]catalog.AuditEntry, error)
	FormerValues(ctx context.Context, s catalog.Subject, before int64, limit, maxBytes int) (catalog.FormerPage, error)
}

// Actions change the catalog and write that into its audit log. Errors: KindNotFound, KindInvalid
// for a day that is not over, KindExpired past retention, KindUnavailable; see also catalog.Correct.
type Actions interface {
	RebuildAudited(ctx context.Context, r catalog.RebuildRequest) (due int, err error)
	Correct(ctx context.Context, k catalog.Correction) (catalog.Corrected, error)
	RetryHour(ctx context.Context, key domain.HourKey, o catalog.Origin) (done bool, err error)
	SetFeature(ctx context.Context, tenant, feature string, on bool, o catalog.Origin) (domain.Tenant, error)
	AppendAudit(ctx context.Context, o catalog.Origin, tenant, action string, detail any) error
}

// Sessions knows which sessions were signed out. Error: KindUnavailable.
type Sessions interface {
	EndSession(ctx context.Context, id string, until time.Time) error
	SessionEnded(ctx context.Context, id string) (bool, error)
}

// Catalog is all of it.
type Catalog interface {
	Sessions
	Overview
	Details
	Actions
	Webhooks
}

// Planner hands hours that became due to the workers.
type Planner interface {
	DispatchPass(ctx context.Context) (plan.Report, error)
}

// Queue knows how many builds all workers together can run. Error: KindUnavailable.
type Queue interface {
	Slots(ctx context.Context) (int, error)
}

// Deps are the parts that the console works with.
type Deps struct {
	Catalog Catalog
	Planner Planner
	Queue   Queue
	// Endpoints makes and changes webhooks.
	Endpoints Endpoints
	Redis     redis.UniversalClient // of the queues, for their dashboard; none when nil
	Metrics   http.HandlerFunc      // answers /metrics to those who have the token; nobody does when nil
	Log       *zap.Logger
	Now       func() time.Time
}

type handler struct {
	cfg      Config
	deps     Deps
	token    auth.InternalToken
	sessions sessions
	attempts *guard // at the console
	calls    *guard // at the API
	scrapes  *guard // at /metrics, which somebody else's mistakes with the API must not blind
	pages    pages
}

// New makes the console with the queues' dashboard, and the API. Its error is a mistake in the
// program's own pages.
func New(cfg Config, deps Deps) ([]web.Family, error) {
	p, err := loadPages()
	if err != nil {
		return nil, fmt.Errorf("load the console's pages: %w", err)
	}
	h := &handler{cfg: cfg, deps: deps, token: auth.NewInternalToken(cfg.Token), sessions: newSessions(cfg.Token, deps.Now),
		attempts: newGuard(deps.Now), calls: newGuard(deps.Now), scrapes: newGuard(deps.Now), pages: p}
	console, err := h.console()
	if err != nil {
		return nil, err
	}
	families := []web.Family{
		{Name: "admin", Owns: web.Under("/admin"), Handler: console, Fail: h.fail},
		{Name: "admin-api", Owns: web.Under("/api/admin"), Handler: h.api(), Fail: failJSON, Spec: spec},
	}
	if deps.Metrics != nil {
		families = append(families, h.metrics())
	}
	return families, nil
}

const metricsPath = "/metrics"

// metrics gives the process's numbers to those who have the token: on the public address they tell
// strangers how much is called, and when.
func (h *handler) metrics() web.Family {
	page := h.needToken(h.scrapes, web.Methods{Get: h.deps.Metrics, Fail: failJSON})
	return web.Family{Name: "metrics", Owns: func(path string) bool { return path == metricsPath }, Fail: failJSON,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			telemetry.SetRoute(r.Context(), metricsPath)
			page.ServeHTTP(w, r)
		})}
}

func (h *handler) closed() bool { return h.cfg.Token == "" }

// origin says who asks, for the audit log.
func origin(r *http.Request) catalog.Origin {
	return catalog.Origin{Actor: "admin", Remote: web.Remote(r), Request: web.RequestID(r.Context())}
}

// within bounds a request's work.
func within(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), catalogTimeout)
}
