package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callvault/callvault/internal/domain"
)

// Outside names an issuer whose access tokens are accepted beside callvault's own.
type Outside struct {
	Issuer      string       // exactly as its tokens and its discovery document say
	Audience    string       // that a token must name
	TenantClaim string       // claim that holds the tenant's id
	Client      *http.Client // for discovery and keys; one with a timeout of 10 s when nil
}

// retryDiscovery is how long a failed discovery is not repeated.
const retryDiscovery = 5 * time.Second

// asymmetric lists the algorithms that are accepted; "none" and HMAC are never.
func asymmetric() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512,
		jose.PS256, jose.PS384, jose.PS512, jose.EdDSA}
}

// outside is the outside issuer with its keys, discovered when the first token comes.
type outside struct {
	cfg    Outside
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	keys  *oidc.RemoteKeySet
	tried time.Time
}

func newOutside(cfg Outside, now func() time.Time) *outside {
	o := &outside{cfg: cfg, client: cfg.Client, now: now}
	if o.client == nil {
		o.client = &http.Client{Timeout: 10 * time.Second}
	}
	return o
}

// keySet gives the issuer's keys. Error: KindUnavailable.
func (o *outside) keySet() (*oidc.RemoteKeySet, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys != nil {
		return o.keys, nil
	}
	if o.now().Sub(o.tried) < retryDiscovery {
		return nil, domain.Errorf(domain.KindUnavailable, "the outside issuer does not answer")
	}
	// The key set keeps this context for later requests, so it is nobody's request's own.
	ctx := oidc.ClientContext(context.Background(), o.client)
	provider, err := oidc.NewProvider(ctx, o.cfg.Issuer)
	if err != nil {
		o.tried = o.now()
		return nil, domain.Wrap(domain.KindUnavailable, err, "the outside issuer does not answer")
	}
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil || metadata.Keys == "" {
		o.tried = o.now()
		return nil, domain.Wrap(domain.KindUnavailable, err, "the outside issuer names no keys")
	}
	o.keys = oidc.NewRemoteKeySet(ctx, metadata.Keys)
	return o.keys, nil
}

// verifyOutside verifies a token whose issuer claims to be the outside one.
func (t *Tokens) verifyOutside(ctx context.Context, token string) (Vouched, error) {
	keys, err := t.outside.keySet()
	if err != nil {
		return Vouched{}, err
	}
	payload, err := keys.VerifySignature(ctx, token)
	switch {
	case errors.Unwrap(err) != nil: // the keys' own failure; what is wrong with the token has no error inside
		return Vouched{}, domain.Wrap(domain.KindUnavailable, err, "the outside issuer does not answer")
	case err != nil:
		return Vouched{}, refused(err)
	}
	var claims jwt.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Vouched{}, refused(err)
	}
	if err := t.checkTimes(claims, t.outside.cfg.Issuer, t.outside.cfg.Audience); err != nil {
		return Vouched{}, refused(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		return Vouched{}, refused(err)
	}
	var id string
	if err := json.Unmarshal(all[t.outside.cfg.TenantClaim], &id); err != nil || id == "" {
		return Vouched{}, refused(fmt.Errorf("the claim %s names no tenant", t.outside.cfg.TenantClaim))
	}
	tenant, err := t.apps.Tenant(ctx, id)
	switch {
	case domain.KindOf(err) == domain.KindNotFound:
		return Vouched{}, refused(err)
	case err != nil:
		return Vouched{}, err
	}
	return Vouched{Tenant: tenant.ID, Actor: "oidc:" + claims.Subject, scopes: scopesOf(all)}, nil
}

// scopesOf reads scope and scp, each a string with spaces or a list.
func scopesOf(claims map[string]json.RawMessage) []string {
	var scopes []string
	for _, name := range []string{"scope", "scp"} {
		var text string
		var list []string
		if json.Unmarshal(claims[name], &text) == nil {
			list = strings.Fields(text)
		} else if json.Unmarshal(claims[name], &list) != nil {
			continue
		}
		scopes = append(scopes, list...)
	}
	return scopes
}
