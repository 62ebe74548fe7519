package ingest

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	base        = "/api/ingest/v1"
	recordsPath = base + "/records"
	audioPrefix = base + "/audio/"
)

//go:embed openapi.yaml
var spec []byte

// Catalog is what the endpoints need of the catalog.
type Catalog interface {
	Tenant(ctx context.Context, id string) (domain.Tenant, error)
	Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error)
	ReserveUpload(ctx context.Context, tenant, key string) (catalog.Reserved, error)
	RegisterUpload(ctx context.Context, tenant string, u catalog.Upload) error
}

// Audio is the recordings bucket. Errors as of package objstore.
type Audio interface {
	// PutStream writes the bytes of r under a new key; size is -1 when unknown. When r fails,
	// nothing is written. With KindConflict, for a key that exists, it describes the bytes of r.
	PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (objstore.Stored, error)
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	// Sync returns when the object is on disk, also where another process has written it.
	Sync(key string) error
	// CheckKey refuses keys that the store can't hold. Error: KindInvalid.
	CheckKey(key string) error
}

// Deps are the parts that the endpoints work with.
type Deps struct {
	Internal *web.SharedToken // nil: nobody may call
	Catalog  Catalog
	Audio    Audio
	NoAudio  error // the error for every new object; nil when audio is accepted
	Log      *zap.Logger
}

type handler struct {
	deps   Deps
	loader *ingest.Loader
}

// New makes the family of /api/ingest.
func New(deps Deps) web.Family {
	h := &handler{deps: deps, loader: ingest.NewLoader()}
	records := web.Methods{Post: web.Handle(h.records, h.explain), Fail: fail}
	audio := web.Methods{Put: web.Handle(h.audio, h.explain), Fail: fail}
	return web.Family{
		Name: "ingest", Owns: web.Under("/api/ingest"), Fail: fail, Spec: spec,
		Streams: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path := r.URL.EscapedPath()
			switch {
			case path == recordsPath:
				r.Pattern = recordsPath
				records.ServeHTTP(w, r)
			case strings.HasPrefix(path, audioPrefix):
				r.Pattern = audioPrefix + "{key...}"
				audio.ServeHTTP(w, r)
			default:
				fail(w, r, http.StatusNotFound)
			}
		}),
	}
}

// authenticate checks a request's internal token.
func (h *handler) authenticate(r *http.Request) error {
	wrong := refused(http.StatusUnauthorized, "The x-internal-token header is missing or wrong.")
	tokens := web.Credentials(r, "x-internal-token")
	if len(tokens) == 0 {
		return wrong
	}
	right, wait := h.deps.Internal.Check(r, tokens...)
	switch {
	case right:
		return nil
	case wait > 0:
		limited := refused(http.StatusTooManyRequests, "Too many wrong tokens came from this address. Try again later, or with the right one.")
		limited.Wait = wait
		return limited
	}
	return wrong
}

// tenant authenticates a request and gives its tenant.
func (h *handler) tenant(r *http.Request) (string, error) {
	if err := h.authenticate(r); err != nil {
		return "", err
	}
	ids := r.Header.Values("x-organization-id")
	if len(ids) != 1 || ids[0] == "" {
		return "", refused(http.StatusBadRequest, "The x-organization-id header must name one organization.")
	}
	if len(ids[0]) > domain.MaxIDBytes {
		return "", refused(http.StatusBadRequest, fmt.Sprintf("The x-organization-id header is longer than %d bytes.", domain.MaxIDBytes))
	}
	err := domain.ValidTenantID(ids[0])
	if err == nil {
		_, err = h.deps.Catalog.Tenant(r.Context(), ids[0])
	}
	switch domain.KindOf(err) {
	case "":
	case domain.KindInvalid, domain.KindNotFound:
		return "", refused(http.StatusNotFound, "The organization does not exist.")
	default:
		return "", web.Step("look up the organization", err)
	}
	telemetry.SetTenant(r.Context(), ids[0])
	if !isIdentity(r) {
		return "", refused(http.StatusUnsupportedMediaType, "The body must come as it is, without Content-Encoding.")
	}
	return ids[0], nil
}

// isIdentity says whether the body has no Content-Encoding.
func isIdentity(r *http.Request) bool {
	encoding := r.Header.Get("Content-Encoding")
	return encoding == "" || strings.EqualFold(encoding, "identity")
}
