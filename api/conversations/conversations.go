package conversations

import (
	"context"
	_ "embed"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

//go:embed openapi.yaml
var spec []byte

const (
	root       = "/conversations"
	convaiRoot = "/v1/convai"
)

// Config bounds what one request takes. Zero fields take the defaults.
type Config struct {
	CatalogTimeout time.Duration // how long the catalog may take; 15 s
}

// Catalog knows the conversations. Errors: KindUnavailable, and as the methods of package catalog say.
type Catalog interface {
	AuthenticateAPIKey(ctx context.Context, secret string) (catalog.APIKey, domain.Tenant, error)
	ListConversations(ctx context.Context, f catalog.ConversationFilter, before *catalog.Position, limit int, summaries bool) (catalog.ConversationPage, error)
	ShowConversation(ctx context.Context, tenant, id string) (catalog.ShownConversation, error)
	ConversationRecording(ctx context.Context, tenant, id string) (string, error)
}

// Store holds the recordings. Errors as of package objstore.
type Store interface {
	Stat(ctx context.Context, key string) (objstore.Info, error)
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

// Deps are the parts that the family works with.
type Deps struct {
	Catalog   Catalog
	Store     Store // of the recordings' bucket
	Cursors   web.Sealer
	Downloads *web.DownloadLimiter
	Log       *zap.Logger
}

type handler struct {
	cfg  Config
	deps Deps
}

// New makes the family of conversations: everything below /conversations and /v1/convai. The family
// of bulk exports, whose paths lie among these, must stand before it.
func New(cfg Config, deps Deps) web.Family {
	if cfg.CatalogTimeout == 0 {
		cfg.CatalogTimeout = 15 * time.Second
	}
	h := &handler{cfg, deps}
	return web.Family{Name: "conversations", Owns: web.Under(root, convaiRoot), Handler: http.HandlerFunc(h.route), Fail: fail, Spec: spec}
}

// call is one request, taken apart.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	convai bool   // under /v1/convai
	id     string // "" for the list
	tenant string
}

// route finds the endpoint. An id may hold escaped slashes.
func (h *handler) route(w http.ResponseWriter, r *http.Request) {
	path, convai := strings.CutPrefix(r.URL.EscapedPath(), convaiRoot)
	parts, ok := web.Segments(path)
	if !ok || parts[0] != "conversations" || len(parts) > 3 || len(parts) == 3 && parts[2] != "audio" || len(parts) > 1 && parts[1] == "" {
		fail(w, r, http.StatusNotFound)
		return
	}
	serve := []func(context.Context, *call){h.list, h.show, h.audio}[len(parts)-1]
	r.Pattern = []string{root, root + "/{id}", root + "/{id}/audio"}[len(parts)-1]
	if convai {
		r.Pattern = convaiRoot + r.Pattern
	}
	c := &call{w: w, r: r, convai: convai}
	if len(parts) > 1 {
		c.id = parts[1]
	}
	web.Methods{Fail: fail, Get: func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), h.cfg.CatalogTimeout)
		defer cancel()
		if h.enter(ctx, c) {
			serve(ctx, c)
		}
	}}.ServeHTTP(w, r)
}

// enter finds the tenant and checks the id. Where it gives false, it has answered.
func (h *handler) enter(ctx context.Context, c *call) bool {
	_, tenant, err := h.deps.Catalog.AuthenticateAPIKey(ctx, secret(c.r))
	switch domain.KindOf(err) {
	case "":
	case domain.KindUnauthorized:
		c.w.Header().Set("WWW-Authenticate", "Bearer")
		fail(c.w, c.r, http.StatusUnauthorized)
		return false
	default:
		h.broken(c, "authenticate", err)
		return false
	}
	c.tenant = tenant.ID
	telemetry.SetTenant(ctx, tenant.ID)
	if web.TooLarge(c.r) {
		fail(c.w, c.r, http.StatusRequestEntityTooLarge)
		return false
	}
	if len(c.id) > domain.MaxIDBytes || !web.ValidText(c.id) {
		c.invalid("path", "conversation_id", "conversation_id must be text of at most 512 bytes", typeText)
		return false
	}
	if c.id == "" || c.convai {
		return true
	}
	p := c.parse() // one conversation takes no parameters
	if p.err != nil {
		c.invalid("query", p.name, domain.SafeMessage(p.err), p.kind)
	}
	return p.err == nil
}

// secret gives the request's one API key, "" when it has none or several of a kind.
func secret(r *http.Request) string {
	for _, name := range []string{"X-Api-Key", "Xi-Api-Key"} {
		if values := web.Credentials(r, name); len(values) > 0 {
			if len(values) > 1 {
				return ""
			}
			return values[0]
		}
	}
	token, _ := web.Bearer(r)
	return token
}
