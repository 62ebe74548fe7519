package oauth

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

//go:embed openapi.yaml
var spec []byte

// Clients authenticates applications. Errors: KindUnauthorized, KindUnavailable.
type Clients interface {
	AuthenticateApplication(ctx context.Context, id, secret string) (catalog.Application, error)
}

// LogKeys has the public keys of the log, the present one first. Error: KindUnavailable.
type LogKeys interface {
	LogKeys(ctx context.Context) ([]catalog.LogKey, error)
}

// Issuer issues access tokens.
type Issuer interface {
	Issue(ctx context.Context, app catalog.Application, scopes []string) (string, time.Duration, error)
	Public(ctx context.Context) jose.JSONWebKeySet
	Issuer() string
}

// Deps are the parts that the endpoints work with.
type Deps struct {
	Clients Clients
	Tokens  Issuer
	LogKeys LogKeys
	Log     *zap.Logger
}

type handler struct{ deps Deps }

// New makes the family of /connect and /.well-known.
func New(deps Deps) web.Family {
	h := &handler{deps}
	pages := map[string]web.Methods{
		"/connect/token":                          {Post: web.Handle(h.token, h.explain), Fail: fail},
		"/.well-known/jwks.json":                  {Get: h.keys, Fail: fail},
		"/.well-known/callvault-log-key":          {Get: web.Handle(h.logKeys, h.explain), Fail: fail},
		"/.well-known/openid-configuration":       {Get: h.metadata, Fail: fail},
		"/.well-known/oauth-authorization-server": {Get: h.metadata, Fail: fail}, // where RFC 8414 puts the same document
	}
	// RFC 8414 puts the path of an issuer behind the well-known one.
	if issuer, err := url.Parse(deps.Tokens.Issuer()); err == nil && issuer.Path != "" {
		pages["/.well-known/oauth-authorization-server"+issuer.EscapedPath()] = web.Methods{Get: h.metadata, Fail: fail}
	}
	return web.Family{
		Name: "oauth", Owns: web.Under("/connect", "/.well-known"), Fail: fail, Spec: spec,
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

// keys is GET /.well-known/jwks.json: the public keys of the issued tokens.
func (h *handler) keys(w http.ResponseWriter, r *http.Request) {
	// Verifiers fetch the keys again when they see an unknown key id.
	w.Header().Set("Cache-Control", "public, max-age=300")
	web.JSON(w, r, http.StatusOK, h.deps.Tokens.Public(r.Context()))
}

// logKeys is GET /.well-known/callvault-log-key: the public keys of the log, one a line, by which
// checkpoints and the seals of days are checked.
func (h *handler) logKeys(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.deps.LogKeys.LogKeys(r.Context())
	if err != nil {
		return err
	}
	if len(keys) == 0 { // an auditor would keep the empty answer as the key file
		return domain.Errorf(domain.KindUnavailable, "the log has no key yet; callvault migrate up makes it")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=300")
	for _, k := range keys {
		_, _ = fmt.Fprintln(w, k.Verifier) // an error means that the client is gone
	}
	return nil
}

// metadata is the discovery document of a server that only grants client credentials.
type metadata struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Scopes        []string `json:"scopes_supported"`
	Responses     []string `json:"response_types_supported"`
	Grants        []string `json:"grant_types_supported"`
	Subjects      []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	ClientAuth    []string `json:"token_endpoint_auth_methods_supported"`
}

func (h *handler) metadata(w http.ResponseWriter, r *http.Request) {
	issuer := h.deps.Tokens.Issuer()
	w.Header().Set("Cache-Control", "public, max-age=300")
	web.JSON(w, r, http.StatusOK, metadata{
		Issuer: issuer, TokenEndpoint: issuer + "/connect/token", Keys: issuer + "/.well-known/jwks.json",
		Scopes: auth.Scopes(), Responses: []string{"token"}, Grants: []string{"client_credentials"},
		Subjects: []string{"public"}, Algorithms: []string{"ES256"},
		ClientAuth: []string{"client_secret_basic", "client_secret_post"},
	})
}

// failure is an error in the shape of RFC 6749 §5.2.
type failure struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func refusal(status int, code, text string) web.Refusal {
	return web.Refusal{Status: status, Body: failure{code, text}}
}

// refused gives the refusal for a status that always has the same text.
func refused(status int) web.Refusal {
	switch status {
	case http.StatusNotFound:
		return refusal(status, "invalid_request", "There is no such endpoint.")
	case http.StatusMethodNotAllowed:
		return refusal(status, "invalid_request", "The method is not allowed here.")
	case http.StatusRequestEntityTooLarge:
		return refusal(status, "invalid_request", "The request body is too large.")
	case http.StatusServiceUnavailable:
		return refusal(status, "temporarily_unavailable", "Please try again later.")
	}
	return refusal(status, "server_error", "Internal server error.")
}

// fail writes the answer for an error that the router found.
func fail(w http.ResponseWriter, r *http.Request, status int) { refused(status).Write(w, r) }
