package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// Archives finds the archives of an hour whose bytes are kept. Errors: KindNotFound,
// KindUnavailable.
type Archives interface {
	StoredArchive(ctx context.Context, key domain.HourKey, revision int64) (catalog.ServedArchive, error)
	AppendAuditOnce(ctx context.Context, o audit.Origin, tenant, action, subject string, detail any) error
}

// actionArchiveRead is the action of the audit log when an operator read an archive.
const actionArchiveRead = "archive.read"

type archiveReadDetail struct {
	Day       domain.Day `json:"day"`
	Hour      string     `json:"hour"`
	Revision  int64      `json:"revision"`
	ObjectKey string     `json:"objectKey"`
	audit.Origin
}

// getArchive is GET …/hours/{hour}/archives/{revision}: the ZIP itself, also of a day that has
// ended under a hold. fail answers errors, as the console or the API does.
func (h *handler) getArchive(fail func(w http.ResponseWriter, r *http.Request, doing string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, content, err := h.openArchive(r)
		if err != nil {
			fail(w, r, "find the archive", err)
			return
		}
		plan := content.Plan(w, r)
		if status := plan.Failed(w); status != 0 {
			w.WriteHeader(status)
			return
		}
		web.Attach(w, "application/zip", a.name)
		if r.Method == http.MethodHead || plan.Status == http.StatusNotModified {
			plan.ServeHead(w, r)
			return
		}
		body, err := content.Prepare(r.Context(), plan)
		if err == nil {
			defer body.Close()
			o := a.detail.Origin
			err = h.deps.Catalog.AppendAuditOnce(r.Context(), o, a.tenant, actionArchiveRead, a.detail.ObjectKey, a.detail)
		}
		if err != nil {
			web.DropContentHeaders(w)
			fail(w, r, "open the archive", err)
			return
		}
		if err := body.Serve(w, r); err != nil {
			h.deps.Log.Info("a download broke off", zap.String("archive", a.detail.ObjectKey), telemetry.In(r.Context()), zap.Error(err))
		}
	}
}

// openedArchive is an archive that an operator reads.
type openedArchive struct {
	tenant string
	name   string // of the file
	detail archiveReadDetail
}

func (h *handler) openArchive(r *http.Request) (o openedArchive, content web.Content, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	key := domain.HourKey{Tenant: chi.URLParam(r, "tenant")}
	if key.Day, err = domain.ParseDay(chi.URLParam(r, "day")); err != nil {
		return o, content, err
	}
	if key.Hour, err = hourParam(r); err != nil {
		return o, content, err
	}
	revision, err := strconv.ParseInt(chi.URLParam(r, "revision"), 10, 64)
	if err != nil || revision < 1 {
		return o, content, domain.Errorf(domain.KindInvalid, "%.20q is not a revision; use a number from 1 on", chi.URLParam(r, "revision"))
	}
	a, err := h.deps.Catalog.StoredArchive(ctx, key, revision)
	if err != nil {
		return o, content, err
	}
	store := web.Version{Versions: h.deps.Archives, ID: a.VersionID}
	info, err := store.Stat(ctx, a.ObjectKey)
	if domain.KindOf(err) == domain.KindNotFound && a.VersionID != "" { // a restored bucket has the same bytes as another version
		if newest, missing := h.deps.Archives.StatVersion(ctx, a.ObjectKey, ""); missing == nil && newest.ETag == a.ETag {
			store.ID, info, err = newest.VersionID, newest, nil
		}
	}
	if err == nil && info.Size != a.Size {
		err = domain.Errorf(domain.KindStoreFault, "archive %s has %d bytes in the object store, not %d", a.ObjectKey, info.Size, a.Size)
	}
	if domain.KindOf(err) == domain.KindNotFound {
		err = domain.Wrap(domain.KindNotFound, err, "the object store does not have this archive")
	}
	o = openedArchive{tenant: key.Tenant, name: web.FileName(key.Tenant + "_" + string(key.Day) + "_" + key.HH() + ".zip"),
		detail: archiveReadDetail{key.Day, key.HH(), revision, a.ObjectKey, origin(r)}}
	return o, web.ObjectContent(store, a.ObjectKey, info, h.deps.Downloads, web.DownloadKey{Tenant: key.Tenant, Object: a.ObjectKey, Address: web.Remote(r)}), err
}
