package oauth

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// tokenAnswer is the answer with a token (RFC 6749 §5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

func invalidRequest(text string) web.Refusal {
	return refusal(http.StatusBadRequest, "invalid_request", text)
}

// token is POST /connect/token.
func (h *handler) token(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	answer, err := h.grant(r)
	if err != nil {
		return err
	}
	web.JSON(w, r, http.StatusOK, answer)
	return nil
}

// explain gives the answer for an error, and logs the error unless it is the caller's.
func (h *handler) explain(r *http.Request, err error) web.Refusal {
	switch kind := domain.KindOf(err); {
	case kind == domain.KindTooLarge:
		return refused(http.StatusRequestEntityTooLarge)
	case kind == domain.KindInvalid:
		return invalidRequest("The request body can't be read.")
	case web.Unavailable(err):
		h.deps.Log.Warn("no token can be issued", telemetry.In(r.Context()), zap.Error(err))
		return refused(http.StatusServiceUnavailable)
	}
	h.deps.Log.Error("issuing a token failed", telemetry.In(r.Context()), zap.Error(err))
	return refused(http.StatusInternalServerError)
}

// grant checks a request and issues the token.
func (h *handler) grant(r *http.Request) (tokenAnswer, error) {
	app, form, err := h.client(r)
	if err != nil {
		return tokenAnswer{}, err
	}
	telemetry.SetTenant(r.Context(), app.Tenant)
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return tokenAnswer{}, invalidRequest("grant_type is missing.")
	default:
		return tokenAnswer{}, refusal(http.StatusBadRequest, "unsupported_grant_type", "The grant_type must be client_credentials.")
	}
	scopes := app.Scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		for _, scope := range asked {
			if !slices.Contains(app.Scopes, scope) {
				return tokenAnswer{}, refusal(http.StatusBadRequest, "invalid_scope",
					"The client may not have this scope. It may have: "+strings.Join(app.Scopes, " ")+". Without a scope it gets all of them.")
			}
		}
		slices.Sort(asked)
		scopes = slices.Compact(asked)
	}
	token, life, err := h.deps.Tokens.Issue(r.Context(), app, scopes)
	if err != nil {
		return tokenAnswer{}, err
	}
	return tokenAnswer{AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(life.Seconds()), Scope: strings.Join(scopes, " ")}, nil
}

// readForm reads the body. Parameters in the query are ignored.
func readForm(r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("The body must be application/x-www-form-urlencoded.")
	}
	body, err := web.Body(r, web.MaxForm)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("The body can't be read.")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, invalidRequest("A parameter is given more than once.")
		}
		if !web.ValidText(values[0]) {
			return nil, invalidRequest("A parameter is not valid text.")
		}
	}
	return form, nil
}

// client authenticates the application by HTTP Basic, before the form is read, or by the form.
func (h *handler) client(r *http.Request) (catalog.Application, url.Values, error) {
	if len(web.Credentials(r, "Authorization")) == 0 {
		form, err := readForm(r)
		if err != nil {
			return catalog.Application{}, nil, err
		}
		app, err := h.authenticate(r, form.Get("client_id"), form.Get("client_secret"), false)
		return app, form, err
	}
	id, secret := basic(r)
	app, err := h.authenticate(r, id, secret, true)
	if err != nil {
		return app, nil, err
	}
	form, err := readForm(r)
	if err == nil && (form.Get("client_secret") != "" || form.Get("client_id") != "" && form.Get("client_id") != id) {
		err = invalidRequest("The client must authenticate in one way.")
	}
	return app, form, err
}

// authenticate gives the application of an id and a secret.
func (h *handler) authenticate(r *http.Request, id, secret string, challenge bool) (catalog.Application, error) {
	unknown := refusal(http.StatusUnauthorized, "invalid_client", "The client is unknown or disabled, or its secret is wrong. "+
		"Check client_id and client_secret; an operator gives a new secret with callvault app rotate.")
	if challenge { // the client authenticated by HTTP Basic
		unknown.Challenge = `Basic realm="callvault", charset="UTF-8"`
	}
	if len(id) > domain.MaxIDBytes || id == "" || secret == "" {
		return catalog.Application{}, unknown
	}
	app, err := h.deps.Clients.AuthenticateApplication(r.Context(), id, secret)
	if domain.KindOf(err) == domain.KindUnauthorized {
		return catalog.Application{}, unknown
	}
	return app, err
}

// basic reads HTTP Basic credentials, which are empty when the header can't be read. Id and secret
// are form-encoded in it (RFC 6749 §2.3.1).
func basic(r *http.Request) (id, secret string) {
	values := web.Credentials(r, "Authorization")
	if len(values) != 1 {
		return "", ""
	}
	id, secret, _ = (&http.Request{Header: http.Header{"Authorization": values}}).BasicAuth()
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	if idErr != nil || secretErr != nil || !web.ValidText(id) {
		return "", ""
	}
	return id, secret
}
