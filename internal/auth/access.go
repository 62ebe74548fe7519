package auth

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// ScopeDataService is the scope that the daily recordings need.
const ScopeDataService = "dataservice_external"

// Scopes lists every scope that an application can have.
func Scopes() []string { return []string{ScopeDataService} }

// leeway is how far two clocks may differ. A host whose clock differs by more is not ready.
const leeway = 10 * time.Second

// tokenType marks access tokens (RFC 9068), so that nothing else signed by the same key is
// accepted.
const tokenType = "at+jwt"

// accessClaims are the claims of callvault's own access tokens.
type accessClaims struct {
	jwt.Claims
	ClientID string `json:"client_id"`
	Tenant   string `json:"tenant"`
	Epoch    int64  `json:"epoch"` // the application's epoch when the token was issued
	Scope    string `json:"scope"`
}

// Config says whose tokens are issued and accepted.
type Config struct {
	Issuer   string        // callvault's public URL; no slash at its end
	TokenTTL time.Duration // life of an access token; 1 h when 0
	OIDC     OIDC          // an issuer accepted as well; none while its Issuer is empty
}

// Tenants looks up the tenant that an outside issuer's token names. Errors: KindNotFound,
// KindUnavailable.
type Tenants interface {
	Tenant(ctx context.Context, id string) (domain.Tenant, error)
}

// Tokens issues and verifies access tokens. It is safe for concurrent use.
type Tokens struct {
	cfg     Config
	keys    *Keyring
	tenants Tenants
	oidc    *issuer
	now     func() time.Time
}

// NewTokens makes a Tokens. It reads nothing yet.
func NewTokens(cfg Config, keys *Keyring, tenants Tenants, now func() time.Time) *Tokens {
	cfg.TokenTTL = cmp.Or(cfg.TokenTTL, time.Hour)
	cfg.Issuer = strings.TrimRight(cfg.Issuer, "/")
	t := &Tokens{cfg: cfg, keys: keys, tenants: tenants, now: now}
	if cfg.OIDC.Issuer != "" {
		t.oidc = newIssuer(cfg.OIDC, now)
	}
	return t
}

// Issuer is the public URL that callvault's own tokens name.
func (t *Tokens) Issuer() string { return t.cfg.Issuer }

// Public gives the keys that verify callvault's own tokens.
func (t *Tokens) Public(ctx context.Context) jose.JSONWebKeySet { return t.keys.Public(ctx) }

// Issue signs an access token with these scopes, and returns how long it is valid.
func (t *Tokens) Issue(ctx context.Context, app catalog.Application, scopes []string) (string, time.Duration, error) {
	r := t.keys.fresh(ctx)
	id := r.current[PurposeAccess]
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: r.private[id], KeyID: id}},
		(&jose.SignerOptions{}).WithType(tokenType))
	if err != nil {
		return "", 0, fmt.Errorf("sign an access token: %w", err)
	}
	var serial [16]byte
	_, _ = rand.Read(serial[:]) // never fails
	now := t.now()
	token, err := jwt.Signed(signer).Claims(accessClaims{
		Claims: jwt.Claims{
			Issuer: t.cfg.Issuer, Subject: app.ID, Audience: jwt.Audience{t.cfg.Issuer}, ID: hex.EncodeToString(serial[:]),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(t.cfg.TokenTTL)),
		},
		ClientID: app.ID, Tenant: app.Tenant, Epoch: app.Epoch, Scope: strings.Join(scopes, " "),
	}).Serialize()
	if err != nil {
		return "", 0, fmt.Errorf("sign an access token: %w", err)
	}
	return token, t.cfg.TokenTTL, nil
}

// refused is the error for every invalid token: the caller learns no reason.
func refused(cause error) error {
	return domain.Wrap(domain.KindUnauthorized, cause, "the access token is invalid or has expired")
}

// SignedClaims are claims of an access token whose signature and times are valid. The catalog
// decides whether its application may still be used, in the transaction of the request.
type SignedClaims struct {
	catalog.TokenClaims
	Actor string // for the audit log: app:ID, or oidc:SUBJECT
}

// Verify verifies a token's signature and times. Errors: KindUnauthorized for an invalid token,
// KindUnavailable when the catalog or the OIDC issuer does not answer.
func (t *Tokens) Verify(ctx context.Context, token string) (SignedClaims, error) {
	parsed, err := jwt.ParseSigned(token, asymmetric())
	if err != nil {
		return SignedClaims{}, refused(err)
	}
	var named struct {
		Issuer string `json:"iss"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&named); err != nil {
		return SignedClaims{}, refused(err)
	}
	switch {
	case named.Issuer == t.cfg.Issuer:
		return t.verifyOwn(ctx, parsed)
	case t.oidc != nil && named.Issuer == t.oidc.cfg.Issuer:
		return t.verifyOIDC(ctx, token)
	}
	return SignedClaims{}, refused(fmt.Errorf("the issuer is another"))
}

// verifyOwn verifies a token that names callvault as its issuer.
func (t *Tokens) verifyOwn(ctx context.Context, parsed *jwt.JSONWebToken) (SignedClaims, error) {
	if len(parsed.Headers) != 1 || parsed.Headers[0].Algorithm != algorithmES256 || parsed.Headers[0].ExtraHeaders[jose.HeaderType] != tokenType {
		return SignedClaims{}, refused(fmt.Errorf("the token is not an access token of ours"))
	}
	private, known, err := find(ctx, t.keys, parsed.Headers[0].KeyID, func(r *keySnapshot) map[string]*ecdsa.PrivateKey { return r.private })
	switch {
	case err != nil:
		return SignedClaims{}, err
	case !known:
		return SignedClaims{}, refused(fmt.Errorf("the key is unknown"))
	}
	var claims accessClaims
	if err := parsed.Claims(&private.PublicKey, &claims); err != nil {
		return SignedClaims{}, refused(err)
	}
	if err := t.checkTimes(claims.Claims, t.cfg.Issuer, t.cfg.Issuer); err != nil {
		return SignedClaims{}, refused(err)
	}
	if !t.now().Before(claims.Expiry.Time()) { // callvault's own clock set it, so no leeway is needed
		return SignedClaims{}, refused(fmt.Errorf("the token has expired"))
	}
	if claims.ClientID == "" {
		return SignedClaims{}, refused(fmt.Errorf("the token names no application"))
	}
	return SignedClaims{Actor: catalog.CredentialApp.Actor(claims.ClientID), TokenClaims: catalog.TokenClaims{Tenant: claims.Tenant, App: claims.ClientID,
		Epoch: claims.Epoch, Scopes: strings.Fields(claims.Scope)}}, nil
}

// checkTimes checks issuer, audience, expiry and the other times of the claims.
func (t *Tokens) checkTimes(c jwt.Claims, issuer, audience string) error {
	if c.Expiry == nil {
		return fmt.Errorf("the token never expires")
	}
	return c.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{audience}, Time: t.now()}, leeway)
}
