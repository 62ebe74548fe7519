package conversations

import (
	"context"
	"net/http"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
)

// audio is GET /conversations/{id}/audio.
func (h *handler) audio(ctx context.Context, w http.ResponseWriter, r *http.Request, req request) error {
	key, err := h.deps.Conversations.RecordingKey(ctx, req.tenant, req.id)
	if domain.KindOf(err) == domain.KindNotFound {
		return notFound()
	}
	if err != nil {
		return web.Step("find the recording", err)
	}
	info, found, err := web.StatRecording(ctx, h.deps.Store, key)
	if err != nil {
		return web.Step("look the recording up", err)
	}
	if !found {
		return noRecording()
	}
	content := web.ObjectContent(h.deps.Store, key, info, h.deps.Downloads, web.DownloadKey{Tenant: req.tenant, Object: key, Address: web.Remote(r)})
	plan := content.Plan(w, r)
	if status := plan.Failed(w); status != 0 {
		return refused(status)
	}
	return h.send(ctx, w, r, req, key, content, plan)
}

// send sends the recording, or the part of it that was asked for.
func (h *handler) send(ctx context.Context, w http.ResponseWriter, r *http.Request, req request, key string, content web.Content, plan web.Plan) error {
	if r.Method == http.MethodHead || plan.Status == http.StatusNotModified {
		web.Attach(w, content.Type, web.RecordingName(key))
		plan.ServeHead(w, r)
		return nil
	}
	o := web.Origin(r, req.actor)
	answer := web.RecordingAnswer{Custody: h.deps.Catalog, Log: h.deps.Log, Origin: o, Tenant: req.tenant, Key: key}
	body, err := answer.Prepare(r.Context(), content, plan)
	if domain.KindOf(err) == domain.KindUnreadable {
		return noRecording()
	}
	if err != nil {
		return web.Step("open the recording", err)
	}
	defer body.Close()
	// Players ask for many pieces, so there is one line an hour.
	if err := h.deps.Catalog.AppendAuditOnce(ctx, o, req.tenant, actionAudio, key, readDetail{req.id, key, o}); err != nil {
		return web.Step("write the audit log", err)
	}
	web.Attach(w, content.Type, web.RecordingName(key))
	if err := body.Serve(w, r); err != nil {
		answer.BrokeOff(r.Context(), err)
	}
	return nil
}
