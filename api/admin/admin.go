package admin

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/telemetry"
)

//go:embed openapi.yaml
var spec []byte

// Config is the settings of console and API.
type Config struct {
	Token    string // the admin token; when empty, everything is closed
	BasePath string // path of the public URL, such as /vault; "" for none
	Origin   string // scheme and host that browsers reach the console by, "" when unknown
	Secure   bool   // browsers reach the console only over TLS, so the cookie is Secure
	ReadOnly bool   // nothing can be changed
}

// Overview reads many days from the catalog. Error: KindUnavailable.
type Overview interface {
	Calendar(ctx context.Context, q catalog.TenantQuery) (catalog.Calendar, error)
	FindTenants(ctx context.Context, q catalog.TenantQuery) (found []domain.Tenant, more bool, err error)
	Running(ctx context.Context, limit int) (catalog.Running, error)
	FailedHours(ctx context.Context, after domain.HourKey, limit int) ([]catalog.FailedHour, error)
	TriedHours(ctx context.Context, limit int) ([]catalog.TriedHour, error)
	Faults(ctx context.Context, after catalog.Fault, limit int) ([]catalog.Fault, error)
}

// Details reads one tenant, day or hour from the catalog. Errors: KindNotFound for an
// unknown tenant, KindUnavailable.
type Details interface {
	Tenant(ctx context.Context, id string) (domain.Tenant, error)
	TenantDays(ctx context.Context, id string, from, to domain.Day) (catalog.Calendar, error)
	Day(ctx context.Context, tenant string, day domain.Day) (catalog.DayView, error)
	DayDownloads(ctx context.Context, tenant string, day domain.Day) ([24]int, error)
	FormerEnd(ctx context.Context, tenant string, day domain.Day, reopened time.Time) (catalog.FormerEnd, error)
	HourHistory(ctx context.Context, key domain.HourKey) (catalog.HourHistory, error)
	HourFaults(ctx context.Context, key domain.HourKey, limit int) ([]catalog.Fault, error)
	LatestAudit(ctx context.Context, tenant string, day domain.Day, hour, limit int) ([]audit.Entry, error)
	FormerValues(ctx context.Context, s catalog.Subject, before int64, limit, maxBytes int) (catalog.FormerPage, error)
}

// Actions change the catalog and write its audit log. Errors: KindNotFound, KindInvalid for a day
// that is not over, KindExpired past retention, KindUnavailable; see also catalog.Correct.
type Actions interface {
	Rebuild(ctx context.Context, r catalog.RebuildRequest) (due int, err error)
	Correct(ctx context.Context, k catalog.Correction) (catalog.Corrected, error)
	CorrectTotal(ctx context.Context, k catalog.TotalCorrection) (catalog.CorrectedTotal, error)
	Reopen(ctx context.Context, tenant string, day domain.Day, o audit.Origin) error
	RetryHour(ctx context.Context, key domain.HourKey, o audit.Origin) (done bool, err error)
	SetFeature(ctx context.Context, tenant, feature string, on bool, o audit.Origin) (domain.Tenant, error)
	AppendAudit(ctx context.Context, o audit.Origin, tenant, action string, detail any) error
}

// Ends are the actions by which a tenant's data and the tenant itself end. Errors as of Actions,
// KindConflict for what can't be now.
type Ends interface {
	CountEnds(ctx context.Context, tenant string, days int) (catalog.EndCounts, error)
	SetTenant(ctx context.Context, id string, change func(*domain.Tenant), o audit.Origin) (domain.Tenant, error)
	SetTenantConfirmed(ctx context.Context, id string, change func(*domain.Tenant), ends catalog.EndCounts, o audit.Origin) (domain.Tenant, error)
	CloseTenant(ctx context.Context, id, reason string, o audit.Origin) (catalog.Closed, error)
	OpenTenant(ctx context.Context, id, reason string, o audit.Origin) error
	DeleteTenant(ctx context.Context, id string, o audit.Origin) error
}

// Sessions keeps which sessions were signed out. Error: KindUnavailable.
type Sessions interface {
	EndSession(ctx context.Context, id string, until time.Time) error
	SessionEnded(ctx context.Context, id string) (bool, error)
}

// Catalog is everything that this package needs of the catalog.
type Catalog interface {
	Sessions
	Overview
	Details
	Actions
	Ends
	Webhooks
	Holds
	Archives
}

// Planner dispatches due hours to the workers.
type Planner interface {
	DispatchPass(ctx context.Context) (plan.Report, error)
}

// Queue tells how many builds all workers together can run. Error: KindUnavailable.
type Queue interface {
	Slots(ctx context.Context) (int, error)
}

// Deps are the dependencies of console and API.
type Deps struct {
	Catalog   Catalog
	Planner   Planner
	Queue     Queue
	Endpoints Endpoints // makes and changes webhooks
	Eraser    Eraser
	Archives  web.Versions          // the bucket of archives
	Downloads *web.DownloadLimiter  // of archives
	Redis     redis.UniversalClient // of the queues; without it there is no dashboard
	Metrics   http.HandlerFunc      // answers /metrics; without it there is no such path
	Log       *zap.Logger
	Now       func() time.Time
}

type handler struct {
	cfg      Config
	deps     Deps
	token    *web.SharedToken
	sessions sessions
	pages    pages
	compress func(http.Handler) http.HandlerFunc
}

// New makes the families of the console, the API and /metrics. Its error is a mistake in the
// program's own pages.
func New(cfg Config, deps Deps) ([]web.Family, error) {
	p, err := loadPages(cfg.BasePath)
	if err != nil {
		return nil, fmt.Errorf("load the console's pages: %w", err)
	}
	compress, err := gzhttp.NewWrapper(gzhttp.EnableZstd(false))
	if err != nil {
		return nil, fmt.Errorf("compress the calendar: %w", err)
	}
	h := &handler{cfg: cfg, deps: deps, token: web.NewSharedToken("CALLVAULT_ADMIN_TOKEN", cfg.Token, deps.Log, deps.Now),
		sessions: newSessions(cfg.Token, deps.Now), pages: p, compress: compress}
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

// metrics is the family of /metrics. On the public address it needs the admin token: its numbers
// are not for strangers.
func (h *handler) metrics() web.Family {
	page := h.needToken(web.Methods{Get: h.deps.Metrics, Fail: failJSON})
	return web.Family{Name: "metrics", Owns: func(path string) bool { return path == metricsPath }, Fail: failJSON,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			telemetry.SetRoute(r.Context(), metricsPath)
			page.ServeHTTP(w, r)
		})}
}

func (h *handler) closed() bool { return h.cfg.Token == "" }

// origin is the origin of a request, for the audit log.
func origin(r *http.Request) audit.Origin {
	return web.Origin(r, "admin")
}

// writable gives KindForbidden when the console is read-only.
func (h *handler) writable() error {
	if h.cfg.ReadOnly {
		return domain.Errorf(domain.KindForbidden, "nothing can be changed here: CALLVAULT_ADMIN_READONLY is on")
	}
	return nil
}
