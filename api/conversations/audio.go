package conversations

import (
	"context"
	"io"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

// audio is GET /conversations/{id}/audio.
func (h *handler) audio(ctx context.Context, c *call) {
	key, err := h.deps.Catalog.ConversationRecording(ctx, c.tenant, c.id)
	switch {
	case domain.KindOf(err) == domain.KindNotFound:
		c.notFound()
		return
	case err != nil:
		h.broken(c, "find the recording", err)
		return
	}
	info, there, err := web.StatRecording(ctx, h.deps.Store, key)
	switch {
	case err != nil:
		h.broken(c, "look the recording up", err)
	case !there:
		c.noAudio()
	default:
		h.play(c, key, info)
	}
}

func (c *call) noAudio() {
	refuse(c.w, c.r, http.StatusNotFound, "audio_not_found", "The conversation has no recording.")
}

// play sends the recording, or the part of it that was asked for.
func (h *handler) play(c *call, key string, info objstore.Info) {
	content := web.Content{Size: info.Size, ETag: info.ETag, Limiter: h.deps.Downloads, Tenant: c.tenant, Object: key, Open: func(ctx context.Context, from, to int64) (io.ReadCloser, error) {
		object, err := h.deps.Store.Get(ctx, key, objstore.GetOptions{From: from, To: to, IfMatch: info.ETag})
		if err != nil {
			return nil, err
		}
		return object.Body, nil
	}}
	plan := content.Plan(c.w, c.r)
	switch plan.Status {
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		c.w.Header().Del("ETag")
		if plan.Status == http.StatusRequestedRangeNotSatisfiable {
			c.w.Header().Set("Content-Range", plan.Unsatisfied())
		}
		fail(c.w, c.r, plan.Status)
		return
	}
	kind := info.ContentType
	if kind == "" {
		kind = "application/octet-stream"
	}
	if c.r.Method == http.MethodHead || plan.Status == http.StatusNotModified {
		c.w.Header().Set("Content-Type", kind)
		plan.ServeHead(c.w, c.r)
		return
	}
	body, err := content.Prepare(c.r.Context(), plan)
	if err != nil {
		c.w.Header().Del("ETag")
		if domain.KindOf(err) == domain.KindUnreadable {
			c.noAudio()
			return
		}
		h.broken(c, "open the recording", err)
		return
	}
	c.w.Header().Set("Content-Type", kind)
	if err := body.Serve(c.w, c.r); err != nil {
		h.deps.Log.Info("a recording broke off", zap.String("object", key), telemetry.In(c.r.Context()), zap.Error(err))
	}
}
