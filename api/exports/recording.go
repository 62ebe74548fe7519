package exports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	// linkTTL is the life of a recording's link, from the export on.
	linkTTL = 24 * time.Hour
	// presignTTL is the life of the presigned URL that a link redirects to.
	presignTTL = 5 * time.Minute
	// linkSubject separates these tokens from other sealed ones.
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
}

// recording describes the conversation's recording, nil when there is none. Error: KindUnavailable.
func (h *handler) recording(ctx context.Context, tenant string, c domain.Conversation, at time.Time) (*recording, error) {
	if h.deps.Recordings == nil {
		return nil, nil //nolint:nilnil // no recording is not an error
	}
	if _, found, err := web.StatRecording(ctx, h.deps.Recordings, c.RecordingKey); !found {
		return nil, err
	}
	until := at.Add(linkTTL)
	token := h.deps.Sealer.Seal(ctx, auth.PurposeLink, linkSubject, encode(recordingLink{tenant, c.RecordingKey, until.Unix()}))
	id := c.RecordingID
	if id == "" {
		sum := sha256.Sum256([]byte(c.RecordingKey))
		id = "rec_" + hex.EncodeToString(sum[:8])
	}
	return &recording{ID: id, FileName: c.RecordingKey, SignedURL: h.cfg.PublicURL + recordingPath + "?token=" + token, URLExpiry: web.Time(until),
		CreatedAt: timeOrNull(c.RecordingCreated), Available: true}, nil
}

// download is GET /api/export/recording. It needs no credential but the link's token.
func (h *handler) download(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), prepareTimeout)
	defer cancel()
	l, err := h.openLink(ctx, r)
	switch {
	case domain.KindOf(err) == domain.KindUnauthorized:
		refuse(w, r, http.StatusUnauthorized, domain.SafeMessage(err))
		return
	case err != nil:
		h.failed(w, r, "open the link", err)
		return
	case web.TooLarge(r):
		fail(w, r, http.StatusRequestEntityTooLarge)
		return
	case h.deps.Recordings == nil:
		refuse(w, r, http.StatusNotFound, textNoRecording)
		return
	}
	info, found, err := web.StatRecording(ctx, h.deps.Recordings, l.Key)
	switch {
	case err != nil:
		h.absent(w, r, "look the recording up", err)
	case !found:
		refuse(w, r, http.StatusNotFound, textNoRecording)
	default:
		h.serveRecording(ctx, w, r, l, info)
	}
}

// openLink verifies the link's token. Errors: KindUnauthorized, KindUnavailable.
func (h *handler) openLink(ctx context.Context, r *http.Request) (recordingLink, error) {
	wrong := domain.Errorf(domain.KindUnauthorized, textLink)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["token"]) != 1 || len(query.Get("token")) > maxToken {
		return recordingLink{}, wrong
	}
	payload, err := h.deps.Sealer.Unseal(ctx, auth.PurposeLink, linkSubject, query.Get("token"))
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
	return l, nil
}

// absent answers for a recording that can't be read.
func (h *handler) absent(w http.ResponseWriter, r *http.Request, what string, err error) {
	web.DropContentHeaders(w)
	switch domain.KindOf(err) {
	case domain.KindNotFound, domain.KindInvalid, domain.KindUnreadable:
		refuse(w, r, http.StatusNotFound, textNoRecording)
	default:
		h.failed(w, r, what, err)
	}
}

// serveRecording sends the recording's bytes or redirects to the store.
func (h *handler) serveRecording(ctx context.Context, w http.ResponseWriter, r *http.Request, l recordingLink, info objstore.Info) {
	telemetry.SetTenant(ctx, l.Tenant)
	content := web.Content{Size: info.Size, ETag: info.ETag, Limiter: h.deps.Downloads, Tenant: l.Tenant, Object: l.Key, Open: func(ctx context.Context, from, to int64) (io.ReadCloser, error) {
		object, err := h.deps.Recordings.Get(ctx, l.Key, objstore.GetOptions{From: from, To: to, IfMatch: info.ETag})
		if err != nil {
			return nil, err
		}
		return object.Body, nil
	}}
	plan := content.Plan(w, r)
	switch plan.Status {
	case http.StatusRequestedRangeNotSatisfiable:
		w.Header().Set("Content-Range", plan.Unsatisfied())
		fallthrough
	case http.StatusPreconditionFailed:
		fail(w, r, plan.Status)
		return
	}
	kind, name := info.ContentType, safeName(path.Base(l.Key))
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`) // so that no browser shows it as a page of this host
	switch {
	case r.Method == http.MethodHead || plan.Status == http.StatusNotModified:
		plan.ServeHead(w, r)
	case h.cfg.Redirect && plan.Redirectable(r):
		h.redirect(ctx, w, r, l, plan, objstore.PresignOptions{Filename: name, ContentType: kind})
	default:
		h.proxy(ctx, w, r, l, plan, content)
	}
}

// redirect redirects to a presigned URL of the store.
func (h *handler) redirect(ctx context.Context, w http.ResponseWriter, r *http.Request, l recordingLink, plan web.Plan, opts objstore.PresignOptions) {
	target, err := h.deps.Recordings.Presign(ctx, l.Key, presignTTL, opts)
	if err == nil {
		err = h.auditRecording(ctx, r, l, plan)
	}
	if err != nil {
		h.absent(w, r, "send to the recording", err)
		return
	}
	web.DropContentHeaders(w).Header().Set("Location", target)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// proxy sends the bytes.
func (h *handler) proxy(ctx context.Context, w http.ResponseWriter, r *http.Request, l recordingLink, plan web.Plan, content web.Content) {
	body, err := content.Prepare(r.Context(), plan)
	if err != nil {
		h.absent(w, r, "open the recording", err)
		return
	}
	if err := h.auditRecording(ctx, r, l, plan); err != nil {
		_ = body.Close()
		h.absent(w, r, "write the audit log", err)
		return
	}
	if err := body.Serve(w, r); err != nil {
		h.deps.Log.Info("a recording broke off", telemetry.In(r.Context()), zap.Error(err))
	}
}

// auditRecording writes the audit log, before any byte or URL is sent.
func (h *handler) auditRecording(ctx context.Context, r *http.Request, l recordingLink, plan web.Plan) error {
	o := origin(r, "link")
	return h.deps.Catalog.AppendAudit(ctx, o, l.Tenant, actionRecording, recordingDetail{l.Key, web.Time(time.Unix(l.Expires, 0)), !plan.Starts, o.Remote, o.Request})
}

type recordingDetail struct {
	Object    string `json:"object"`
	Until     string `json:"until"` // when the link ends
	Continues bool   `json:"continues,omitempty"`
	Remote    string `json:"remote"`
	Request   string `json:"request,omitempty"`
}
