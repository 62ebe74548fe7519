package conversations

import (
	"cmp"
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

//go:embed openapi.yaml
var spec []byte

const (
	root       = "/conversations"
	convaiRoot = "/v1/convai"
)

// Config bounds what one request takes. Zero fields take the defaults.
type Config struct {
	CatalogTimeout time.Duration // of all that a request asks of the catalog; 15 s
}

// Catalog knows the API keys and has the audit log. Errors: KindUnauthorized, KindUnavailable.
type Catalog interface {
	AuthenticateAPIKey(ctx context.Context, secret string) (catalog.Credential, domain.Tenant, error)
	AppendAudit(ctx context.Context, o audit.Origin, tenant, action string, detail any) error
	AppendAuditOnce(ctx context.Context, o audit.Origin, tenant, action, subject string, detail any) error
	web.Custody
}

// Actions in the audit log.
const (
	actionShow  = "conversation.read"  // a conversation was given
	actionAudio = "conversation.audio" // bytes of its recording were given
)

// readDetail is the detail of both actions.
type readDetail struct {
	Conversation string `json:"conversation"`
	Object       string `json:"object,omitempty"` // the recording
	audit.Origin
}

// Conversations reads the conversations. Errors: KindUnavailable, and those of the methods of
// package conversations.
type Conversations interface {
	List(ctx context.Context, q conversations.ListQuery, before *conversations.Position, limit int, reserve func(bytes int64) error) (conversations.Page[conversations.Header], error)
	Memory(ctx context.Context, tenant, id string) (int64, error)
	Show(ctx context.Context, tenant, id string) (conversations.Shown, error)
	RecordingKey(ctx context.Context, tenant, id string) (string, error)
}

// Deps are the family's dependencies.
type Deps struct {
	Catalog       Catalog
	Conversations Conversations
	Store         web.Store // of the recordings' bucket
	Cursors       web.Signer
	Downloads     *web.DownloadLimiter
	Budget        *web.Budget
	Log           *zap.Logger
}

type handler struct {
	cfg  Config
	deps Deps
}

// New makes the family of conversations: everything below /conversations and /v1/convai. The family
// of bulk exports, which owns some of these paths, must be mounted before it.
func New(cfg Config, deps Deps) web.Family {
	cfg.CatalogTimeout = cmp.Or(cfg.CatalogTimeout, 15*time.Second)
	h := &handler{cfg, deps}
	return web.Family{Name: "conversations", Owns: web.Under(root, convaiRoot), Handler: http.HandlerFunc(h.route), Fail: fail, Spec: spec}
}

// request is an authenticated request.
type request struct {
	convai bool   // under /v1/convai
	id     string // of the conversation; "" for the list
	tenant string
	actor  string // for the audit log
}

// route finds the endpoint. An id may hold escaped slashes.
func (h *handler) route(w http.ResponseWriter, r *http.Request) {
	path, convai := strings.CutPrefix(r.URL.EscapedPath(), convaiRoot)
	parts, ok := web.Segments(path)
	if !ok || parts[0] != "conversations" || len(parts) > 3 || len(parts) == 3 && parts[2] != "audio" || len(parts) > 1 && parts[1] == "" {
		fail(w, r, http.StatusNotFound)
		return
	}
	serve := []serveFunc{h.list, h.show, h.audio}[len(parts)-1]
	r.Pattern = []string{root, root + "/{id}", root + "/{id}/audio"}[len(parts)-1]
	if convai {
		r.Pattern = convaiRoot + r.Pattern
	}
	req := request{convai: convai}
	if len(parts) > 1 {
		req.id = parts[1]
	}
	web.Methods{Fail: fail, Get: h.handle(req, serve)}.ServeHTTP(w, r)
}

type serveFunc func(ctx context.Context, w http.ResponseWriter, r *http.Request, req request) error

// handle makes the handler of an endpoint. It authenticates the request first, and writes the
// answer for an error.
func (h *handler) handle(req request, serve serveFunc) http.HandlerFunc {
	return web.Handle(func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), h.cfg.CatalogTimeout)
		defer cancel()
		err := h.admit(ctx, r, &req)
		if err == nil {
			err = serve(ctx, w, r, req)
		}
		if err != nil {
			w.Header().Del("ETag") // of a recording that is not sent
		}
		return err
	}, func(r *http.Request, err error) web.Refusal { return h.explain(r, req.convai, err) })
}

// admit finds the tenant and checks the id.
func (h *handler) admit(ctx context.Context, r *http.Request, req *request) error {
	key, tenant, err := h.deps.Catalog.AuthenticateAPIKey(ctx, secret(r))
	if domain.KindOf(err) == domain.KindUnauthorized {
		answer := refusal(http.StatusUnauthorized, "invalid_api_key", "The API key is missing or invalid.")
		answer.Challenge = "Bearer"
		return answer
	}
	if err != nil {
		return web.Step("authenticate", err)
	}
	req.tenant, req.actor = tenant.ID, catalog.CredentialKey.Actor(key.ID)
	telemetry.SetTenant(ctx, tenant.ID)
	switch {
	case web.TooLarge(r):
		return refused(http.StatusRequestEntityTooLarge)
	case len(req.id) > domain.MaxIDBytes || !web.ValidText(req.id):
		return &invalidParam{"path", "conversation_id", typeText, "conversation_id must be text of at most 512 bytes"}
	case req.id != "" && !req.convai:
		p := req.parse(r) // a single conversation has no parameters
		return p.err()
	}
	return nil
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
