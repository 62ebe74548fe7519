package recordings

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
)

// presignTTL is the life of the presigned URL that a link redirects to.
const presignTTL = time.Minute

// maxToken bounds the length of a token; a genuine one has at most about 180 bytes.
const maxToken = 1024

const zipType = "application/zip"

// download is GET …/{utcDay}/{hour}/download.
func (h *handler) download(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), catalogTimeout)
	defer cancel()
	link, err := h.openLink(ctx, r)
	var access catalog.LinkAccess
	if err == nil {
		access, err = h.deps.Catalog.LinkAccess(ctx, link.HourKey, link.Archive)
	}
	switch domain.KindOf(err) {
	case "":
	case domain.KindUnauthorized, domain.KindNotFound:
		unauthorized(w, r, "Bearer", textUnauthorized)
		return
	default:
		h.broken(w, r, "open the link", err)
		return
	}
	if !access.Now.Before(link.Expires) {
		unauthorized(w, r, "Bearer", textLinkExpired)
		return
	}
	limit(w, access.Window)
	switch {
	case web.TooLarge(r):
		fail(w, r, http.StatusRequestEntityTooLarge)
	case !access.Tenant.Recordings:
		refuse(w, r, http.StatusForbidden, textFeature)
	case access.Expired:
		refuse(w, r, http.StatusNotFound, textRetention)
	case access.Archive == nil:
		refuse(w, r, http.StatusNotFound, textGone)
	case r.Method != http.MethodHead && access.Window.Full() && r.Header.Get("Range") == "":
		limited(w, r, access.Window)
	default:
		h.serveArchive(ctx, w, r, link, *access.Archive)
	}
}

// openLink verifies the link's token, which must be for the day and hour of the path. Errors:
// KindUnauthorized, KindUnavailable.
func (h *handler) openLink(ctx context.Context, r *http.Request) (auth.Link, error) {
	wrong := domain.Errorf(domain.KindUnauthorized, "the link is not genuine")
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["token"]) != 1 || len(query.Get("token")) > maxToken {
		return auth.Link{}, wrong
	}
	link, err := h.deps.Links.OpenLink(ctx, query.Get("token"))
	if err != nil {
		return auth.Link{}, err
	}
	day, err := dayParam(r)
	if err != nil || day != link.Day || chi.URLParam(r, "hour") != link.HH() {
		return auth.Link{}, wrong
	}
	telemetry.SetTenant(ctx, link.Tenant)
	return link, nil
}

// serveArchive answers with the archive of a valid link. Whatever can fail comes before the
// download is counted, because errors are not counted.
func (h *handler) serveArchive(ctx context.Context, w http.ResponseWriter, r *http.Request, link auth.Link, archive catalog.LinkedArchive) {
	info, err := h.deps.Store.Stat(ctx, archive.ObjectKey)
	switch {
	case domain.KindOf(err) == domain.KindNotFound:
		h.archiveGone(ctx, w, r, archive)
		return
	case err == nil && info.Size != archive.Size:
		err = domain.Errorf(domain.KindStoreFault, "archive %s has %d bytes in the object store, not %d", archive.ObjectKey, info.Size, archive.Size)
	}
	if err != nil {
		h.broken(w, r, "look the archive up", err)
		return
	}
	name := link.Tenant + "_" + string(link.Day) + "_" + link.HH() + ".zip"
	content := h.content(archive, info, link)
	plan := content.Plan(w, r)
	switch plan.Status {
	case http.StatusPreconditionFailed:
		fail(w, r, plan.Status)
		return
	case http.StatusRequestedRangeNotSatisfiable:
		w.Header().Set("Content-Range", plan.Unsatisfied())
		fail(w, r, plan.Status)
		return
	}
	w.Header().Set("Content-Type", zipType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if r.Method == http.MethodHead || plan.Status == http.StatusNotModified {
		plan.ServeHead(w, r)
		return
	}
	h.beginDownload(ctx, w, r, link, archive, content, plan, name)
}

// content is the archive's bytes; it fails if the object changes after info was read.
func (h *handler) content(archive catalog.LinkedArchive, info objstore.Info, link auth.Link) web.Content {
	return web.Content{Size: info.Size, ETag: info.ETag, Limiter: h.deps.Downloads, Tenant: link.Tenant, Object: string(link.Day) + link.HH(), Open: func(ctx context.Context, from, to int64) (io.ReadCloser, error) {
		object, err := h.deps.Store.Get(ctx, archive.ObjectKey, objstore.GetOptions{From: from, To: to, IfMatch: info.ETag})
		if err != nil {
			return nil, err
		}
		return object.Body, nil
	}}
}

// beginDownload counts a download and sends it, after it has opened the bytes or made the presigned
// URL.
func (h *handler) beginDownload(ctx context.Context, w http.ResponseWriter, r *http.Request, link auth.Link, archive catalog.LinkedArchive,
	content web.Content, plan web.Plan, name string) {
	// A request for several ranges, or with an unusual Range, is not redirected: a store may ignore
	// it and send all bytes uncounted.
	redirect := h.cfg.Redirect && plan.Redirectable(r) && (plan.Starts || plan.Rest != "")
	var target string
	var body *web.Prepared
	var err error
	if redirect {
		target, err = h.deps.Store.Presign(ctx, archive.ObjectKey, presignTTL, objstore.PresignOptions{Filename: name, ContentType: zipType,
			Range: plan.Rest}) // a continuation is not counted, so the URL must not give all bytes
	} else {
		body, err = content.Prepare(r.Context(), plan)
	}
	if err != nil {
		h.broken(web.DropContentHeaders(w), r, "open the archive", err)
		return
	}
	window, err := h.deps.Catalog.BeginDownload(ctx, catalog.Download{HourKey: link.HourKey, Token: link.Archive, Revision: link.Revision,
		Object: archive.ObjectKey, Until: link.Expires, Continues: !plan.Starts, Origin: origin(r, "link")})
	if err != nil {
		if body != nil {
			_ = body.Close()
		}
		if domain.KindOf(err) == domain.KindLimited {
			limited(web.DropContentHeaders(w), r, window)
			return
		}
		h.broken(web.DropContentHeaders(w), r, "count the download", err)
		return
	}
	limit(w, window)
	if redirect {
		web.DropContentHeaders(w).Header().Set("Location", target)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	if err := body.Serve(w, r); err != nil {
		h.deps.Log.Info("a download broke off", zap.String("archive", archive.ObjectKey),
			telemetry.In(r.Context()), zap.Error(err))
	}
}

// archiveGone answers for an archive whose object is not in the store. It makes the hour due if the
// hour serves this archive. The link will not work again: the next revision gets new links.
func (h *handler) archiveGone(ctx context.Context, w http.ResponseWriter, r *http.Request, archive catalog.LinkedArchive) {
	hit, err := h.deps.Catalog.Gone(ctx, archive.ServedArchive)
	if err != nil {
		h.broken(w, r, "report the archive as gone", err)
		return
	}
	h.deps.Log.Error("an archive is not in the object store", zap.String("archive", archive.ObjectKey), zap.Bool("rebuilding", hit), telemetry.In(ctx))
	refuse(w, r, http.StatusNotFound, textGone)
}
