package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// OIDC names an outside issuer whose access tokens are accepted beside callvault's own.
type OIDC struct {
	Issuer      string // exactly as in its tokens and its discovery document
	Audience    string // a token must name it
	TenantClaim string // the claim with the tenant's id
}

// asymmetric lists the accepted algorithms. "none" and HMAC are never accepted.
func asymmetric() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512,
		jose.PS256, jose.PS384, jose.PS512, jose.EdDSA}
}

// verifyOIDC verifies a token that names the outside issuer.
func (t *Tokens) verifyOIDC(ctx context.Context, token string) (SignedClaims, error) {
	keys, err := t.oidc.keySet()
	if err != nil {
		return SignedClaims{}, err
	}
	payload, err := keys.VerifySignature(ctx, token)
	switch {
	case errors.Unwrap(err) != nil: // fetching the keys failed; errors about the token wrap none
		return SignedClaims{}, unanswered(err)
	case err != nil:
		return SignedClaims{}, refused(err)
	}
	var claims jwt.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return SignedClaims{}, refused(err)
	}
	if err := t.checkTimes(claims, t.oidc.cfg.Issuer, t.oidc.cfg.Audience); err != nil {
		return SignedClaims{}, refused(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		return SignedClaims{}, refused(err)
	}
	var id string
	if err := json.Unmarshal(all[t.oidc.cfg.TenantClaim], &id); err != nil || id == "" {
		return SignedClaims{}, refused(fmt.Errorf("the claim %s names no tenant", t.oidc.cfg.TenantClaim))
	}
	tenant, err := t.tenants.Tenant(ctx, id)
	switch {
	case domain.KindOf(err) == domain.KindNotFound:
		return SignedClaims{}, refused(err)
	case err != nil:
		return SignedClaims{}, err
	}
	return SignedClaims{Actor: "oidc:" + claims.Subject, TokenClaims: catalog.TokenClaims{Tenant: tenant.ID, Scopes: scopesOf(all)}}, nil
}

// scopesOf reads the claims scope and scp, each a string with spaces or a list.
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
