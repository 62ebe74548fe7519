package recordings

import (
	"context"
	"errors"
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

// maxToken bounds the length of a token; a genuine one has at most about 220 bytes.
const maxToken = 1024

const zipType = "application/zip"

// download is GET …/{utcDay}/{hour}/download.
func (h *handler) download(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), catalogTimeout)
	defer cancel()
	link, err := h.openLink(ctx, r)
	var access catalog.LinkAccess
	if err == nil {
		access, err = h.deps.Catalog.LinkAccess(ctx, link.HourKey, link.Archive, link.Holder)
	}
	switch domain.KindOf(err) {
	case "":
	case domain.KindUnauthorized, domain.KindNotFound:
		return unauthorized("Bearer", textUnauthorized)
	default:
		return web.Step("open the link", err)
	}
	if access.Revoked || !access.Now.Before(link.Expires) {
		return unauthorized("Bearer", textLinkExpired)
	}
	limit(w, access.Window)
	switch {
	case web.TooLarge(r):
		return refused(http.StatusRequestEntityTooLarge)
	case !access.Tenant.Recordings:
		return refusal(http.StatusForbidden, textFeature)
	case access.Expired:
		return refusal(http.StatusNotFound, textRetention)
	case access.Archive == nil:
		return refusal(http.StatusNotFound, textGone)
	case r.Method != http.MethodHead && access.Window.Full() && r.Header.Get("Range") == "":
		return limited(w, access.Window)
	}
	return h.serveArchive(ctx, w, r, link, access)
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
func (h *handler) serveArchive(ctx context.Context, w http.ResponseWriter, r *http.Request, link auth.Link, access catalog.LinkAccess) error {
	archive := *access.Archive
	store := web.Version{Versions: h.deps.Store, ID: archive.VersionID}
	info, err := h.lookUp(ctx, store, archive)
	if err != nil {
		return err
	}
	content := web.ObjectContent(store, archive.ObjectKey, info, h.deps.Downloads, web.DownloadKey{Tenant: link.Tenant, Object: string(link.Day) + link.HH(), Address: web.Remote(r)})
	plan := content.Plan(w, r)
	if status := plan.Failed(w); status != 0 {
		return refused(status)
	}
	name := link.Tenant + "_" + string(link.Day) + "_" + link.HH() + ".zip"
	web.Attach(w, zipType, name)
	if r.Method == http.MethodHead || plan.Status == http.StatusNotModified {
		plan.ServeHead(w, r)
		return nil
	}
	d := catalog.Download{HourKey: link.HourKey, Token: link.Archive, Revision: link.Revision,
		Object: archive.ObjectKey, Until: link.Expires, Continues: !plan.Starts, Allowance: 2 * archive.Size, Origin: web.Origin(r, "link")}
	d.Spend = piece(d, plan.Length())
	// A request for several ranges, or with an unusual Range, is not redirected: a store may ignore
	// it and send all bytes uncounted.
	redirected := h.deps.Presigner != nil && plan.Redirectable(r) && (plan.Starts || plan.Rest != "")
	if redirected {
		d.Spend = d.Allowance / redirects // nobody knows how many bytes the store will send
	}
	switch {
	case access.Window.Full() && (plan.Starts || access.Spent+d.Spend > d.Allowance):
		err = limited(w, access.Window) // before it takes a place: a slow download may lose its own for that
	case redirected:
		err = h.redirect(ctx, w, d, objstore.PresignOptions{Filename: name, ContentType: zipType, Version: archive.VersionID, Range: plan.Rest})
	default:
		err = h.proxy(ctx, w, r, d, plan, content)
	}
	if err != nil {
		web.DropContentHeaders(w)
	}
	return err
}

// lookUp looks an archive up in the object store, before a byte of it is promised.
func (h *handler) lookUp(ctx context.Context, store web.Version, archive catalog.LinkedArchive) (objstore.Info, error) {
	info, err := store.Stat(ctx, archive.ObjectKey)
	if domain.KindOf(err) == domain.KindNotFound && archive.VersionID != "" {
		_, newest := h.deps.Store.StatVersion(ctx, archive.ObjectKey, "")
		if newest == nil { // a restored bucket has other versions, which the sweeper stores
			newest = errors.Join(domain.Errorf(domain.KindStoreFault, "archive %s is another version in the object store", archive.ObjectKey),
				h.deps.Catalog.CheckSoon(ctx, archive.ObjectKey))
		}
		err = newest
	}
	if domain.KindOf(err) == domain.KindNotFound {
		return info, h.archiveGone(ctx, archive)
	}
	if err == nil && info.Size != archive.Size {
		err = domain.Errorf(domain.KindStoreFault, "archive %s has %d bytes in the object store, not %d", archive.ObjectKey, info.Size, archive.Size)
	}
	if err != nil {
		return info, web.Step("look the archive up", err)
	}
	return info, nil
}

// redirect counts a download and redirects it to a presigned URL. A continuation is not counted, so
// its URL must not give more than the rest: opts has its Range.
func (h *handler) redirect(ctx context.Context, w http.ResponseWriter, d catalog.Download, opts objstore.PresignOptions) error {
	target, err := h.deps.Presigner.Presign(ctx, d.Object, presignTTL, opts)
	if err != nil {
		return web.Step("open the archive", err)
	}
	if _, err := h.count(ctx, w, d); err != nil {
		return err
	}
	web.DropContentHeaders(w).Header().Set("Location", target)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// proxy counts a download and sends the bytes.
func (h *handler) proxy(ctx context.Context, w http.ResponseWriter, r *http.Request, d catalog.Download, plan web.Plan, content web.Content) error {
	body, err := content.Prepare(r.Context(), plan)
	if err != nil {
		return web.Step("open the archive", err)
	}
	defer body.Close()
	begun, err := h.count(ctx, w, d)
	if err != nil {
		return err
	}
	if !begun.Counted {
		c := &continuation{ResponseWriter: w, ctx: r.Context(), catalog: h.deps.Catalog, d: d, begun: begun, unsent: d.Spend, rest: plan.Length() - d.Spend}
		w = c
		defer func() { h.returnUnsent(r.Context(), c) }()
	}
	if err := body.Serve(w, r); err != nil {
		h.deps.Log.Info("a download broke off", zap.String("archive", d.Object), telemetry.In(r.Context()), zap.Error(err))
	}
	return nil
}

// count counts a download, or finds the counted one that it continues.
func (h *handler) count(ctx context.Context, w http.ResponseWriter, d catalog.Download) (catalog.BegunDownload, error) {
	begun, err := h.deps.Catalog.BeginDownload(ctx, d)
	if domain.KindOf(err) == domain.KindLimited {
		return begun, limited(w, begun.Window)
	}
	if err != nil {
		return begun, web.Step("count the download", err)
	}
	limit(w, begun.Window)
	return begun, nil
}

// archiveGone is the error for an archive whose object is not in the store. It makes the hour due
// if the hour serves this archive. The link will not work again: the next revision gets new links.
func (h *handler) archiveGone(ctx context.Context, archive catalog.LinkedArchive) error {
	rebuilding, err := h.deps.Catalog.Gone(ctx, archive.ServedArchive)
	if err != nil {
		return web.Step("report the archive as gone", err)
	}
	h.deps.Log.Error("an archive is not in the object store", zap.String("archive", archive.ObjectKey), zap.Bool("rebuilding", rebuilding), telemetry.In(ctx))
	return refusal(http.StatusNotFound, textGone)
}
