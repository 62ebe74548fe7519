package exports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	// linkTTL is the life of a recording's link, from the export on.
	linkTTL = 24 * time.Hour
	// presignTTL is the life of the presigned URL that a link redirects to.
	presignTTL = 5 * time.Minute
	// linkSubject separates these tokens from other signed ones.
	linkSubject = "recording of an export"
	// maxToken bounds the length of a token: a key of 1,024 bytes can be several times longer in
	// JSON.
	maxToken = 8192
)

// recordingLink is the content of a recording link's token.
type recordingLink struct {
	Tenant  string `json:"t"`
	Key     string `json:"k"`
	Expires int64  `json:"e"` // Unix seconds

	// The API key that got the link; links of former versions have none.
	APIKey string `json:"a,omitempty"`
	Epoch  int64  `json:"n,omitempty"`
}

// describeRecording describes the conversation's recording, nil when there is none. Error:
// KindUnavailable.
func (h *handler) describeRecording(ctx context.Context, who caller, c domain.Conversation, at time.Time) (*recording, error) {
	if h.deps.Recordings == nil {
		return nil, nil // no recording is not an error
	}
	if _, found, err := web.StatRecording(ctx, h.deps.Recordings, c.RecordingKey); !found {
		return nil, err
	}
	until := at.Add(linkTTL)
	token := h.deps.Signer.Sign(ctx, auth.PurposeLink, linkSubject, encode(recordingLink{who.tenant, c.RecordingKey, until.Unix(), who.holder.ID, who.holder.Epoch}))
	id := c.RecordingID
	if id == "" {
		sum := sha256.Sum256([]byte(c.RecordingKey))
		id = "rec_" + hex.EncodeToString(sum[:8])
	}
	return &recording{ID: id, FileName: c.RecordingKey, SignedURL: h.cfg.PublicURL + recordingPath + "?token=" + token, URLExpiry: web.Time(until),
		CreatedAt: timeOrNull(c.RecordingCreated), Available: true}, nil
}

// download is GET /api/export/recording. It needs no credential but the link's token.
func (h *handler) download(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), prepareTimeout)
	defer cancel()
	link, err := h.openLink(ctx, r)
	switch {
	case err != nil:
		return web.Step("open the link", err)
	case web.TooLarge(r):
		return refused(http.StatusRequestEntityTooLarge)
	case h.deps.Recordings == nil:
		return noRecording()
	}
	info, found, err := web.StatRecording(ctx, h.deps.Recordings, link.Key)
	if err != nil {
		return readError(w, "look the recording up", err)
	}
	if !found {
		return noRecording()
	}
	telemetry.SetTenant(ctx, link.Tenant)
	content := web.ObjectContent(h.deps.Recordings, link.Key, info, h.deps.Downloads, web.DownloadKey{Tenant: link.Tenant, Object: link.Key, Address: web.Remote(r)})
	return h.serveRecording(ctx, w, r, link, content)
}

func noRecording() error { return refusal(http.StatusNotFound, textNoRecording) }

// readError gives the error for a recording that can't be sent, and drops its headers.
func readError(w http.ResponseWriter, doing string, err error) error {
	web.DropContentHeaders(w)
	switch domain.KindOf(err) {
	case domain.KindNotFound, domain.KindInvalid, domain.KindUnreadable:
		return noRecording()
	}
	return web.Step(doing, err)
}

// openLink verifies the link's token. Errors: KindUnauthorized, KindUnavailable.
func (h *handler) openLink(ctx context.Context, r *http.Request) (recordingLink, error) {
	wrong := domain.Errorf(domain.KindUnauthorized, textLink)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["token"]) != 1 || len(query.Get("token")) > maxToken {
		return recordingLink{}, wrong
	}
	payload, err := h.deps.Signer.Verify(ctx, auth.PurposeLink, linkSubject, query.Get("token"))
	if domain.KindOf(err) == domain.KindUnauthorized {
		return recordingLink{}, wrong
	}
	if err != nil {
		return recordingLink{}, err
	}
	var l recordingLink
	if json.Unmarshal(payload, &l) != nil || l.Key == "" {
		return recordingLink{}, wrong
	}
	if h.deps.Now().Unix() >= l.Expires {
		return recordingLink{}, domain.Errorf(domain.KindUnauthorized, textLinkExpired)
	}
	revoked, err := h.deps.Catalog.Revoked(ctx, catalog.CredentialKey, l.Tenant, catalog.Holder{ID: l.APIKey, Epoch: l.Epoch})
	named := !revoked
	if err == nil && named { // a conversation that has ended takes its links with it
		named, err = h.deps.Catalog.NamesObject(ctx, l.Tenant, l.Key)
	}
	if err == nil && !named {
		err = domain.Errorf(domain.KindUnauthorized, textLinkExpired)
	}
	return l, err
}

// serveRecording sends the recording's bytes or redirects to the store.
func (h *handler) serveRecording(ctx context.Context, w http.ResponseWriter, r *http.Request, link recordingLink, content web.Content) error {
	plan := content.Plan(w, r)
	if status := plan.Failed(w); status != 0 {
		return refused(status)
	}
	name := web.RecordingName(link.Key)
	web.Attach(w, content.Type, name)
	switch {
	case r.Method == http.MethodHead || plan.Status == http.StatusNotModified:
		plan.ServeHead(w, r)
		return nil
	case h.deps.Presigner != nil && plan.Redirectable(r):
		return h.redirect(ctx, w, r, link, plan, objstore.PresignOptions{Filename: name, ContentType: content.Type})
	}
	return h.proxy(ctx, w, r, link, plan, content)
}

// redirect redirects to a presigned URL of the store.
func (h *handler) redirect(ctx context.Context, w http.ResponseWriter, r *http.Request, link recordingLink, plan web.Plan, opts objstore.PresignOptions) error {
	target, err := h.deps.Presigner.Presign(ctx, link.Key, presignTTL, opts)
	if err == nil {
		err = h.auditRecording(ctx, r, link, plan)
	}
	if err != nil {
		return readError(w, "send to the recording", err)
	}
	web.DropContentHeaders(w).Header().Set("Location", target)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// proxy sends the bytes.
func (h *handler) proxy(ctx context.Context, w http.ResponseWriter, r *http.Request, link recordingLink, plan web.Plan, content web.Content) error {
	answer := web.RecordingAnswer{Custody: h.deps.Catalog, Log: h.deps.Log, Origin: web.Origin(r, "link"), Tenant: link.Tenant, Key: link.Key}
	body, err := answer.Prepare(r.Context(), content, plan)
	if err != nil {
		return readError(w, "open the recording", err)
	}
	defer body.Close()
	if err := h.auditRecording(ctx, r, link, plan); err != nil {
		return readError(w, "write the audit log", err)
	}
	if err := body.Serve(w, r); err != nil {
		answer.BrokeOff(r.Context(), err)
	}
	return nil
}

// auditRecording writes the audit log, before any byte or URL is sent: one line an hour for a link
// and an address, because players ask for many pieces.
func (h *handler) auditRecording(ctx context.Context, r *http.Request, l recordingLink, plan web.Plan) error {
	o := web.Origin(r, "link")
	return h.deps.Catalog.AppendAuditOnce(ctx, o, l.Tenant, actionRecording, string(encode(l))+" "+o.Remote, recordingDetail{l.Key, web.Time(time.Unix(l.Expires, 0)), !plan.Starts, o})
}

type recordingDetail struct {
	Object    string `json:"object"`
	Until     string `json:"until"` // when the link ends
	Continues bool   `json:"continues,omitempty"`
	audit.Origin
}
