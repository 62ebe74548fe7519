package exports

import (
	"context"
	_ "embed"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	recordingPath = "/api/export/recording"
	// prepareTimeout bounds all that happens before an answer begins.
	prepareTimeout = 30 * time.Second
)

//go:embed openapi.yaml
var spec []byte

// Config is the family's settings.
type Config struct {
	PublicURL string // links to recordings begin with it
}

// Catalog is what the endpoints need of the catalog.
type Catalog interface {
	// AuthenticateAPIKey's errors are KindUnauthorized and KindUnavailable.
	AuthenticateAPIKey(ctx context.Context, secret string) (catalog.Credential, domain.Tenant, error)
	// Tenant's errors are KindNotFound and KindUnavailable.
	Tenant(ctx context.Context, id string) (domain.Tenant, error)
	AppendAudit(ctx context.Context, o audit.Origin, tenant, action string, detail any) error
	Revoked(ctx context.Context, kind catalog.CredentialKind, tenant string, h catalog.Holder) (bool, error)
	NamesObject(ctx context.Context, tenant, key string) (bool, error)
	AppendAuditOnce(ctx context.Context, o audit.Origin, tenant, action, subject string, detail any) error
	web.Custody
}

// Conversations reads the conversations.
type Conversations interface {
	// The errors of both are KindNotFound and KindUnavailable.
	Memory(ctx context.Context, tenant, id string) (int64, error)
	Export(ctx context.Context, tenant, id string, transcript bool) (conversations.Export, error)
}

// Deps are the family's dependencies.
type Deps struct {
	Internal      *web.SharedToken // nil: none is accepted
	Catalog       Catalog
	Conversations Conversations
	Recordings    web.Store     // nil when no storage is configured: exports have no recording then
	Presigner     web.Presigner // links redirect to its URLs; nil when the bytes are proxied
	Signer        web.Signer    // of links
	Downloads     *web.DownloadLimiter
	Budget        *web.Budget
	Log           *zap.Logger
	Now           func() time.Time
}

type handler struct {
	cfg  Config
	deps Deps
}

// New makes the family of /api/export and /export.
func New(cfg Config, deps Deps) web.Family {
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	h := &handler{cfg: cfg, deps: deps}
	export := web.Methods{Post: web.Handle(h.export, h.explain), Fail: fail}
	pages := map[string]web.Methods{
		"/api/export/conversation":      export,
		"/api/export/conversation/json": export,
		"/export/conversation":          export,
		recordingPath:                   {Get: web.Handle(h.download, h.explain), Fail: fail},
	}
	return web.Family{
		Name: "exports", Owns: web.Under("/api/export", "/export"), Fail: fail, Spec: spec,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page, known := pages[r.URL.EscapedPath()]
			if !known {
				fail(w, r, http.StatusNotFound)
				return
			}
			r.Pattern = r.URL.EscapedPath()
			page.ServeHTTP(w, r)
		}),
	}
}

// export is POST of the three paths.
func (h *handler) export(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), prepareTimeout)
	defer cancel()
	who, err := h.authenticate(ctx, r)
	if err != nil {
		return web.Step("authenticate", err)
	}
	telemetry.SetTenant(ctx, who.tenant)
	req, err := h.decode(w, r, who)
	if err != nil {
		return web.Step("read the request", err)
	}
	memory, err := h.deps.Conversations.Memory(ctx, who.tenant, req.conversation)
	if err != nil {
		return web.Step("look the conversation up", err)
	}
	hold, err := h.deps.Budget.Acquire(who.tenant, who.actor, memory)
	if err != nil {
		return web.Step("reserve memory", err)
	}
	defer hold.Release()
	e, err := h.deps.Conversations.Export(ctx, who.tenant, req.conversation, req.transcript)
	if err != nil {
		return web.Step("read the conversation", err)
	}
	a, err := h.assemble(ctx, who, req, e)
	if err != nil {
		return web.Step("put the export together", err)
	}
	if err := h.auditExport(ctx, r, who, req, a); err != nil {
		return web.Step("write the audit log", err)
	}
	web.Attach(w, "application/json", fileName(req.conversation, a.at))
	if err := a.write(r.Context(), hold.Writer(w)); err != nil {
		h.deps.Log.Info("an export broke off", telemetry.In(r.Context()), zap.Error(err))
		web.Abort()
	}
	return nil
}

// fileName is the name under which a client saves an export.
func fileName(id string, at time.Time) string {
	return "conversation-" + web.FileName(id) + "-" + string(domain.DayOf(at)) + ".json"
}
