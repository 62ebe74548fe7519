package recordings

import (
	"context"
	_ "embed"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

//go:embed openapi.yaml
var spec []byte

const dayPath = "/api/external/conversations/daily-audio-recordings"

// catalogTimeout bounds what a request waits for the catalog.
const catalogTimeout = 15 * time.Second

// Config is the family's settings.
type Config struct {
	PublicURL string        // links begin with it
	LinkTTL   time.Duration // life of a link
}

// Catalog knows days, links and limits. Errors: KindNotFound for an unknown tenant,
// KindUnavailable, and those of the methods of package catalog.
type Catalog interface {
	CheckDay(ctx context.Context, r catalog.DayRequest) (catalog.Window, error)
	IssueDay(ctx context.Context, r catalog.DayRequest) (catalog.IssuedDay, error)
	DaySeal(ctx context.Context, r catalog.DayRequest) (catalog.Seal, error)
	LinkAccess(ctx context.Context, key domain.HourKey, token string, h catalog.Holder) (catalog.LinkAccess, error)
	BeginDownload(ctx context.Context, d catalog.Download) (catalog.BegunDownload, error)
	ReturnUnsent(ctx context.Context, d catalog.Download, b catalog.BegunDownload, bytes int64) error
	Gone(ctx context.Context, a catalog.ServedArchive) (bool, error)
	CheckSoon(ctx context.Context, objectKey string) error
}

// Tokens verifies access tokens, without asking the catalog about their applications. Errors:
// KindUnauthorized, KindUnavailable.
type Tokens interface {
	Verify(ctx context.Context, token string) (auth.SignedClaims, error)
}

// Links makes and opens the tokens of links. Errors: KindUnauthorized, KindUnavailable.
type Links interface {
	SignLink(ctx context.Context, l auth.Link) string
	OpenLink(ctx context.Context, token string) (auth.Link, error)
}

// Proofs gives the proof that a leaf is in the log, as text. Error: KindNotFound until there is
// one.
type Proofs func(ctx context.Context, leaf merkle.Key) ([]byte, error)

// Deps are the family's dependencies.
type Deps struct {
	Catalog   Catalog
	Tokens    Tokens
	Links     Links
	Proofs    Proofs
	Store     web.Versions  // their bucket
	Presigner web.Presigner // links redirect to its URLs; nil when the bytes are proxied
	Downloads *web.DownloadLimiter
	Log       *zap.Logger
}

type handler struct {
	cfg  Config
	deps Deps
}

// New makes the family of daily recordings: everything below /api/external.
func New(cfg Config, deps Deps) web.Family {
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	h := &handler{cfg: cfg, deps: deps}
	mux := chi.NewRouter()
	mux.Handle(dayPath+"/{utcDay}", web.Methods{Get: web.Handle(h.day, h.explain), Fail: fail})
	mux.Handle(dayPath+"/{utcDay}/seal", web.Methods{Get: web.Handle(h.seal, h.explain), Fail: fail})
	mux.Handle(dayPath+"/{utcDay}/{hour}/download", web.Methods{Get: web.Handle(h.download, h.explain), Fail: fail})
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) { fail(w, r, http.StatusNotFound) })
	mux.MethodNotAllowed(web.UnknownMethods(mux, fail))
	return web.Family{Name: "recordings", Owns: web.Under("/api/external"), Handler: mux, Fail: fail, Spec: spec}
}

func limit(w http.ResponseWriter, c catalog.Window) {
	web.RateLimit(w, c.Limit, c.Remaining(), c.Reset)
}
