package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/oauth"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// fixture is the token endpoint over a catalog with one application.
type fixture struct {
	*testing.T
	cat     *catalog.Catalog
	tokens  *auth.Tokens
	spec    *apitest.Spec
	handler http.Handler
	app     catalog.Application
	secret  string
}

func newFixture(t *testing.T, dsn, issuer string) *fixture {
	t.Helper()
	f := &fixture{T: t, cat: catalogtest.Open(t, dsn), spec: apitest.LoadSpec(t, "openapi.yaml")}
	_, err := f.cat.CreateTenant(t.Context(), domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
	f.must(err)
	f.app, f.secret, err = f.cat.CreateApplication(t.Context(), "acme", "tests", auth.Scopes(), audit.Origin{})
	f.must(err)
	keys, err := auth.OpenKeyring(t.Context(), f.cat, "", time.Now)
	f.must(err)
	f.tokens = auth.NewTokens(auth.Config{Issuer: issuer}, keys, f.cat, time.Now)
	f.handler = api.New(api.Config{}, api.Deps{Log: zap.NewNop(), Now: time.Now,
		Families: []api.Family{oauth.New(oauth.Deps{Clients: f.cat, Tokens: f.tokens, LogKeys: f.cat, Log: zap.NewNop()})}})
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// post sends a form. headers are names and values in turn.
func (f *fixture) post(body string, headers ...string) apitest.Answer {
	f.Helper()
	r := httptest.NewRequest("POST", "/connect/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a := f.spec.Do(f, f.handler, r)
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		f.Errorf("the answer may be stored: %v", a.Header)
	}
	return a
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func TestToken(t *testing.T) {
	for name, open := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, open(t), "https://vault.test")
			form := "grant_type=client_credentials&client_id=" + f.app.ID + "&client_secret=" + f.secret
			for what, a := range map[string]apitest.Answer{
				"form":             f.post(form),
				"form with scope":  f.post(form + "&scope=dataservice_external"),
				"empty scope":      f.post(form + "&scope="),
				"basic":            f.post("grant_type=client_credentials", "Authorization", basic(f.app.ID, f.secret)),
				"basic and its id": f.post("grant_type=client_credentials&client_id="+f.app.ID, "Authorization", basic(f.app.ID, f.secret)),
				"unknown fields":   f.post(form + "&audience=x"),
			} {
				var body struct {
					Token string `json:"access_token"`
					Scope string `json:"scope"`
					Life  int    `json:"expires_in"`
				}
				if a.Status != 200 || json.Unmarshal(a.Body, &body) != nil || body.Scope != auth.ScopeDataService || body.Life != 3600 {
					t.Fatalf("%s: %d %s", what, a.Status, a.Body)
				}
				caller, err := f.tokens.Verify(t.Context(), body.Token)
				if err != nil || caller.Tenant != "acme" {
					t.Fatalf("%s: %+v %v", what, caller, err)
				}
			}
		})
	}
}

func TestTokenRefusals(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), "https://vault.test")
	form := "grant_type=client_credentials&client_id=" + f.app.ID + "&client_secret=" + f.secret
	disabled, disabledSecret, err := f.cat.CreateApplication(t.Context(), "acme", "disabled", auth.Scopes(), audit.Origin{})
	f.must(err)
	f.must(f.cat.DisableCredential(t.Context(), catalog.CredentialApp, disabled.ID, true, audit.Origin{}))
	for _, c := range []struct {
		what, body, authorization string
		status                    int
		code                      string
	}{
		{"no client", "grant_type=client_credentials", "", 401, "invalid_client"},
		{"wrong secret", form + "x", "", 401, "invalid_client"},
		{"unknown client", strings.Replace(form, "app_", "app_0", 1), "", 401, "invalid_client"},
		{"disabled", "grant_type=client_credentials&client_id=" + disabled.ID + "&client_secret=" + disabledSecret, "", 401, "invalid_client"},
		{"wrong basic", "grant_type=client_credentials", basic(f.app.ID, "x"), 401, "invalid_client"},
		{"broken basic", "grant_type=client_credentials", "Basic !", 401, "invalid_client"},
		{"both ways", form, basic(f.app.ID, f.secret), 400, "invalid_request"},
		{"no grant", strings.Replace(form, "grant_type", "grant", 1), "", 400, "invalid_request"},
		{"another grant", strings.Replace(form, "client_credentials", "password", 1), "", 400, "unsupported_grant_type"},
		{"another scope", form + "&scope=admin", "", 400, "invalid_scope"},
		{"one scope too many", form + "&scope=dataservice_external+admin", "", 400, "invalid_scope"},
		{"twice", form + "&grant_type=client_credentials", "", 400, "invalid_request"},
		{"broken escape", form + "&x=%zz", "", 400, "invalid_request"},
		{"a NUL", form + "%00", "", 400, "invalid_request"},
	} {
		a := f.post(c.body, "Authorization", c.authorization)
		if c.authorization == "" {
			a = f.post(c.body)
		}
		var body struct {
			Error string `json:"error"`
		}
		if a.Status != c.status || json.Unmarshal(a.Body, &body) != nil || body.Error != c.code {
			t.Errorf("%s: %d %s", c.what, a.Status, a.Body)
		}
		if challenged := strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic "); challenged != (c.status == 401 && c.authorization != "") {
			t.Errorf("%s: WWW-Authenticate is %q", c.what, a.Header.Get("WWW-Authenticate"))
		}
	}
	if a := f.post(form + "&scope=admin"); !strings.Contains(string(a.Body), "It may have: "+strings.Join(auth.Scopes(), " ")+".") {
		t.Errorf("another scope: %s does not name those of the client", a.Body)
	}
	if a := f.post(`{"grant_type":"client_credentials"}`, "Content-Type", "application/json"); a.Status != 400 {
		t.Errorf("JSON: %d %s", a.Status, a.Body)
	}
	for authorization, status := range map[string]int{basic(f.app.ID, "x"): 401, basic(f.app.ID, f.secret): 413} {
		if a := f.post(strings.Repeat("x", 2<<20), "Authorization", authorization); a.Status != status {
			t.Errorf("large, by Basic: %d %s", a.Status, a.Body)
		}
	}
	if a := f.post(form + "&x=" + strings.Repeat("x", 16<<10)); a.Status != 413 {
		t.Errorf("more than a form: %d %s", a.Status, a.Body)
	}
	if a := f.post(form, "Authorization", ""); a.Status != 200 {
		t.Errorf("an empty header beside the form: %d %s", a.Status, a.Body)
	}
	large := httptest.NewRequest("POST", "/connect/token", strings.NewReader(strings.Repeat("x", 1<<20+1)))
	large.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := f.spec.Do(t, f.handler, large); a.Status != 413 {
		t.Errorf("large: %d %s", a.Status, a.Body)
	}
	large.Body, large.ContentLength = httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", 1<<20+1))).Body, -1
	if a := f.spec.Do(t, f.handler, large); a.Status != 413 {
		t.Errorf("large without a length: %d %s", a.Status, a.Body)
	}
	if a := f.spec.Do(t, f.handler, httptest.NewRequest("GET", "/connect/token", nil)); a.Status != 405 || a.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d %v", a.Status, a.Header)
	}
	if a := apitest.Do(f.handler, httptest.NewRequest("GET", "/connect/else", nil)); a.Status != 404 || !strings.Contains(string(a.Body), "invalid_request") {
		t.Errorf("another path: %d %s", a.Status, a.Body)
	}
}

// TestStandardClient uses standard libraries with only the issuer's URL and the credentials.
func TestStandardClient(t *testing.T) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	f := newFixture(t, apitest.SQLite(t), server.URL)
	handler = f.handler
	provider, err := oidc.NewProvider(t.Context(), server.URL)
	f.must(err)
	client := clientcredentials.Config{ClientID: f.app.ID, ClientSecret: f.secret, TokenURL: provider.Endpoint().TokenURL, Scopes: auth.Scopes()}
	token, err := client.Token(t.Context())
	f.must(err)
	verified, err := provider.Verifier(&oidc.Config{ClientID: server.URL}).Verify(t.Context(), token.AccessToken)
	f.must(err)
	if verified.Subject != f.app.ID || token.TokenType != "Bearer" || time.Until(token.Expiry) < 50*time.Minute {
		t.Fatalf("%+v, %+v", verified, token)
	}
	_, err = f.tokens.Verify(t.Context(), token.AccessToken)
	f.must(err)
}

func TestMetadata(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), "https://vault.test/")
	a := f.spec.Do(t, f.handler, httptest.NewRequest("GET", "/.well-known/openid-configuration", nil))
	apitest.Golden(t, "openid-configuration.json", a.Body)
	same := f.spec.Do(t, f.handler, httptest.NewRequest("GET", "/.well-known/oauth-authorization-server", nil))
	if string(same.Body) != string(a.Body) {
		t.Errorf("the two documents differ: %s", same.Body)
	}
	keys := f.spec.Do(t, f.handler, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	if keys.Status != 200 || strings.Contains(string(keys.Body), `"d"`) {
		t.Errorf("%d %s", keys.Status, keys.Body)
	}
	f.spec.Do(t, f.handler, httptest.NewRequest("HEAD", "/.well-known/jwks.json", nil))
	none := f.spec.Do(t, f.handler, httptest.NewRequest("GET", "/.well-known/callvault-log-key", nil))
	if none.Status != 503 || none.Header.Get("Retry-After") == "" {
		t.Errorf("before the log has a key: %d %v", none.Status, none.Header)
	}
	logKey := catalog.NewLogKey{SigningKey: catalog.SigningKey{ID: "k", Purpose: "log", Material: []byte{1}}, Verifier: "callvault/x+1+y"}
	if _, err := f.cat.AddLogKeys(t.Context(), logKey, catalog.SigningKey{ID: "s", Purpose: "log_salt", Material: []byte{1}}, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	ofLog := f.spec.Do(t, f.handler, httptest.NewRequest("GET", "/.well-known/callvault-log-key", nil))
	if ofLog.Status != 200 || string(ofLog.Body) != "callvault/x+1+y\n" {
		t.Errorf("%d %s", ofLog.Status, ofLog.Body)
	}
	below := newFixture(t, apitest.SQLite(t), "https://vault.test/voice/")
	got := apitest.Do(below.handler, httptest.NewRequest("GET", "/.well-known/oauth-authorization-server/voice", nil))
	if got.Status != 200 || !strings.Contains(string(got.Body), `"https://vault.test/voice"`) {
		t.Errorf("of an issuer with a path: %d %s", got.Status, got.Body)
	}
}
