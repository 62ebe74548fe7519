package bulk

import (
	"cmp"
	"context"
	_ "embed"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/limits"
	"github.com/callvault/callvault/internal/telemetry"
)

//go:embed openapi.yaml
var spec []byte

const root = "/conversations/export/v1"

// The limit of Deps.Limiter: requests of one key to one endpoint.
const (
	Limit  = 3
	Window = time.Second
)

// Config bounds what one request takes. Zero fields take the defaults.
type Config struct {
	CatalogTimeout time.Duration // of one query; 15 s
	PageBytes      int           // of the rows of a page, which ends early then; 32 MiB
}

// Catalog knows the API keys and has the audit log. Errors: KindUnauthorized, KindUnavailable.
type Catalog interface {
	AuthenticateAPIKey(ctx context.Context, secret string) (catalog.Credential, domain.Tenant, error)
	AppendAudit(ctx context.Context, o audit.Origin, tenant, action string, detail any) error
	AppendAuditOnce(ctx context.Context, o audit.Origin, tenant, action, subject string, detail any) error
}

// Conversations gives the rows. Errors: KindUnavailable, and those of the methods of package
// conversations.
type Conversations interface {
	Bots(ctx context.Context, tenant, name string) ([]string, error)
	ExportConversations(ctx context.Context, w conversations.AgentQuery, after *conversations.Position, limit conversations.Limit) (conversations.Page[conversations.ExportedConversation], error)
	ReadValues(ctx context.Context, tenant string, c *conversations.ExportedConversation) error
	ExportMessages(ctx context.Context, w conversations.AgentQuery, after *conversations.Position, limit conversations.Limit) (conversations.Page[conversations.ExportedMessage], error)
}

// Limiter counts requests. Error: KindUnavailable.
type Limiter interface {
	Take(ctx context.Context, name string) (limits.Use, error)
	Peek(ctx context.Context, name string) (limits.Use, error)
}

// Deps are the parts that the family works with.
type Deps struct {
	Catalog       Catalog
	Conversations Conversations
	Limiter       Limiter // of Limit requests in Window
	Cursors       web.Signer
	Budget        *web.Budget
	Log           *zap.Logger
}

type handler struct {
	cfg  Config
	deps Deps
}

// New makes the family of bulk exports. It must be mounted before the family of conversations,
// which owns a prefix of its paths.
func New(cfg Config, deps Deps) web.Family {
	cfg.CatalogTimeout = cmp.Or(cfg.CatalogTimeout, 15*time.Second)
	cfg.PageBytes = cmp.Or(cfg.PageBytes, 32<<20)
	h := &handler{cfg, deps}
	paths := map[string]http.Handler{
		root + "/conversations": web.Methods{Fail: fail, Get: web.Handle(serve(h, endpoint[conversations.ExportedConversation]{
			name: "conversations", page: deps.Conversations.ExportConversations, appendRow: appendConversation,
			unread: func(c conversations.ExportedConversation) int64 { return c.Unread }, readValues: deps.Conversations.ReadValues,
		}), h.explain)},
		root + "/messages": web.Methods{Fail: fail, Get: web.Handle(serve(h, endpoint[conversations.ExportedMessage]{
			name: "messages", filters: []filter{{"conversation_id", conversations.Conversation}}, page: deps.Conversations.ExportMessages, appendRow: appendMessage,
		}), h.explain)},
	}
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page := paths[r.URL.Path]; page != nil {
			r.Pattern = r.URL.Path
			page.ServeHTTP(w, r)
			return
		}
		fail(w, r, http.StatusNotFound)
	})
	return web.Family{Name: "bulk", Owns: web.Under(root), Handler: mux, Fail: fail, Spec: spec}
}

// admit authenticates a request, counts it, and checks that its tenant may export.
func (h *handler) admit(ctx context.Context, w http.ResponseWriter, r *http.Request, endpoint string) (catalog.Credential, error) {
	secrets := web.Credentials(r, "X-Api-Key")
	if len(secrets) != 1 {
		return catalog.Credential{}, refusal(http.StatusUnauthorized, textUnauthorized)
	}
	key, tenant, err := h.deps.Catalog.AuthenticateAPIKey(ctx, secrets[0])
	if domain.KindOf(err) == domain.KindUnauthorized {
		return key, refusal(http.StatusUnauthorized, textUnauthorized)
	}
	if err != nil {
		return key, web.Step("authenticate", err)
	}
	telemetry.SetTenant(ctx, tenant.ID)
	count := h.deps.Limiter.Take
	if r.Method == http.MethodHead {
		count = h.deps.Limiter.Peek
	}
	use, err := count(ctx, "bulk:"+endpoint+":"+key.ID)
	web.RateLimit(w, use.Limit, use.Remaining, use.Reset)
	switch {
	case err != nil:
		return key, web.Step("count the request", err)
	case !use.Allowed && r.Method != http.MethodHead:
		w.Header().Set("Retry-After", web.Seconds(use.Reset))
		return key, refusal(http.StatusTooManyRequests, textLimit)
	case web.TooLarge(r):
		return key, refused(http.StatusRequestEntityTooLarge)
	case !tenant.Export:
		return key, refusal(http.StatusForbidden, textFeature)
	}
	return key, nil
}
