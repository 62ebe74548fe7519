package exports

import (
	"context"
	"net/http"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// Actions in the audit log.
const (
	actionExport    = "export.conversation" // a conversation was exported
	actionRecording = "export.recording"    // bytes of a recording were given
)

// caller is who sent a request.
type caller struct {
	tenant string
	actor  string // for the audit log
	holder catalog.Holder
}

// authenticate finds who sent a request. Errors: KindUnauthorized, KindInvalid when an internal
// request names no organization, KindNotFound when the organization does not exist,
// KindUnavailable, and a Refusal after too many wrong internal tokens.
func (h *handler) authenticate(ctx context.Context, r *http.Request) (caller, error) {
	if tokens := web.Credentials(r, "x-internal-token"); len(tokens) > 0 {
		right, wait := h.deps.Internal.Check(r, tokens...)
		switch {
		case right:
			return h.organization(ctx, r)
		case wait > 0:
			return caller{}, web.Refusal{Status: http.StatusTooManyRequests, Body: failure{textWrongTokens}, Wait: wait}
		}
		return caller{}, domain.Errorf(domain.KindUnauthorized, textInternalToken)
	}
	secret, err := apiKey(r)
	if err != nil {
		return caller{}, err
	}
	key, tenant, err := h.deps.Catalog.AuthenticateAPIKey(ctx, secret)
	if domain.KindOf(err) == domain.KindUnauthorized {
		return caller{}, domain.Wrap(domain.KindUnauthorized, err, textAPIKey)
	}
	return caller{tenant.ID, catalog.CredentialKey.Actor(key.ID), key.Holder()}, err
}

func (h *handler) organization(ctx context.Context, r *http.Request) (caller, error) {
	ids := r.Header.Values("x-organization-id")
	switch {
	case len(ids) == 0, len(ids) == 1 && ids[0] == "":
		return caller{}, domain.Errorf(domain.KindInvalid, textOrganization)
	case len(ids) > 1:
		return caller{}, domain.Errorf(domain.KindInvalid, "x-organization-id must be given once")
	case len(ids[0]) > domain.MaxIDBytes:
		return caller{}, domain.Errorf(domain.KindInvalid, "x-organization-id is longer than %d bytes", domain.MaxIDBytes)
	case domain.ValidTenantID(ids[0]) != nil:
		return caller{}, domain.Errorf(domain.KindNotFound, textNotFound)
	}
	tenant, err := h.deps.Catalog.Tenant(ctx, ids[0])
	return caller{tenant: tenant.ID, actor: "internal"}, err
}

// apiKey gives the key of x-api-key, else the bearer token.
func apiKey(r *http.Request) (string, error) {
	keys := web.Credentials(r, "x-api-key")
	bearer, _ := web.Bearer(r)
	switch {
	case len(keys) > 1, len(web.Credentials(r, "Authorization")) > 1:
		return "", domain.Errorf(domain.KindUnauthorized, textAPIKey)
	case len(keys) == 1:
		return keys[0], nil
	case bearer != "":
		return bearer, nil
	}
	return "", domain.Errorf(domain.KindUnauthorized, textCredential)
}

type exportDetail struct {
	Conversation string `json:"conversation"`
	Transcript   bool   `json:"transcript"`
	Analysis     bool   `json:"analysis"`
	Recording    bool   `json:"recording"`
	Object       string `json:"object,omitempty"` // of the recording that is linked
	Until        string `json:"until,omitempty"`  // when that link ends
	audit.Origin
}

// auditExport writes the audit log, before the answer begins.
func (h *handler) auditExport(ctx context.Context, r *http.Request, who caller, req request, a *answer) error {
	o := web.Origin(r, who.actor)
	d := exportDetail{Conversation: req.conversation, Transcript: req.transcript, Analysis: req.analysis, Recording: req.recording, Origin: o}
	if given := a.tail.Recording; given != nil {
		d.Object, d.Until = given.FileName, given.URLExpiry
	}
	return h.deps.Catalog.AppendAudit(ctx, o, who.tenant, actionExport, d)
}
