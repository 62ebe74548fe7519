package catalog

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// LinkAccess is what a link may give, before anything is counted.
type LinkAccess struct {
	Tenant  domain.Tenant
	Now     time.Time // the catalog's clock
	Window  Window    // downloads of this hour's links
	Expired bool      // the day is past retention
	Archive *LinkedArchive
	last    windowLast
}

// LinkedArchive is the very archive that a link names; nil in LinkAccess when its bytes are gone.
type LinkedArchive struct {
	ServedArchive
	Revision int64
	ETag     string
}

// LinkAccess reads what a link gives access to. Error: KindNotFound for an unknown tenant.
func (c *Catalog) LinkAccess(ctx context.Context, key domain.HourKey, token string) (LinkAccess, error) {
	return linkAccess(ctx, c.db, key, token)
}

const linkAccessSQL = `SELECT t.id, t.recordings, t.retention_days, t.download_limit, c.now_us,
	d.completed_us, d.reopened_us, d.expired_us IS NOT NULL, a.object_key, a.revision, a.size, a.etag, ` + windowColumns + `
	FROM tenants t CROSS JOIN catalog_clock c LEFT JOIN days d ON d.tenant = $1 AND d.day = $2
	LEFT JOIN archives a ON a.token = $4 AND a.tenant = $1 AND a.day = $2 AND a.hour = $5 AND a.state IN ('published', 'superseded')` +
	windowJoins + ` WHERE t.id = $1`

func linkAccess(ctx context.Context, q db.Querier, key domain.HourKey, token string) (a LinkAccess, err error) {
	var archive LinkedArchive
	var completed, reopened, oldest time.Time
	var expired bool
	t := &a.Tenant
	err = q.QueryRowContext(ctx, linkAccessSQL, key.Tenant, key.Day, downloadWindow(key), token, key.Hour).
		Scan(&t.ID, &t.Recordings, &t.RetentionDays, &t.DownloadLimit, db.Time(&a.Now), db.Time(&completed), db.Time(&reopened), &expired,
			db.OrZero(&archive.ObjectKey), db.OrZero(&archive.Revision), db.OrZero(&archive.Size), db.OrZero(&archive.ETag),
			&a.Window.Used, db.Time(&oldest), &a.last.us, &a.last.n, &a.last.stray)
	if err != nil {
		return a, db.NotFound(err, "tenant %q does not exist", key.Tenant)
	}
	a.Window.Limit, a.Window.Reset = t.DownloadLimit, untilReset(oldest, a.Now)
	a.Expired = expired || !a.Now.Before(domain.RetentionEnd(key.Day, completed, reopened, t.RetentionDays))
	if archive.ObjectKey != "" {
		archive.HourKey, a.Archive = key, &archive
	}
	return a, nil
}

// Download is a request for the bytes behind a link.
type Download struct {
	domain.HourKey
	Token     string // the archive's
	Revision  int64
	Object    string
	Until     time.Time // when the link ends
	Continues bool      // it does not start at the first byte
	Origin    audit.Origin
}

// BeginDownload counts a download and writes it to the audit log, unless it continues one that
// was counted within the last hour. Errors: KindLimited when the window is full (Window is set
// then, and nothing is counted), KindNotFound.
func (c *Catalog) BeginDownload(ctx context.Context, d Download) (w Window, err error) {
	name := downloadWindow(d.HourKey)
	err = c.db.Batch(ctx, func(tx *db.Tx) error {
		if err := lockWindow(ctx, tx, d.Tenant, name); err != nil {
			return err
		}
		a, err := linkAccess(ctx, tx, d.HourKey, d.Token)
		if err != nil {
			return err
		}
		w = a.Window
		switch {
		case d.Continues && w.Used > 0:
			return nil
		case w.Full():
			return domain.Errorf(domain.KindLimited, "the downloads of this hour are used up")
		}
		at := db.Micros(a.Now)
		if w, err = w.count(ctx, tx, d.Tenant, name, a.last, at); err != nil {
			return err
		}
		return d.Origin.Append(ctx, tx, at, d.Tenant, ActionDownload, downloadDetail{
			Day: d.Day, Hour: d.HH(), Revision: d.Revision, Object: d.Object, Until: d.Until, Continues: d.Continues, Origin: d.Origin})
	})
	return w, err
}
