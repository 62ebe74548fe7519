package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	Spent   int64     // bytes of the counted download that has most left of its allowance
	Expired bool      // the day is past retention, or an erasure has ended the link
	Revoked bool      // the application that got the link was disabled or deleted since, or the tenant closed
	Archive *LinkedArchive
	last    windowLast
}

// LinkedArchive is the very archive that a link names; nil in LinkAccess when its bytes are gone.
type LinkedArchive struct {
	ServedArchive
	Revision int64
}

// LinkAccess reads what a link to an archive, by its token, gives access to. h is the application
// that got the link. Error: KindNotFound for an unknown tenant.
func (c *Catalog) LinkAccess(ctx context.Context, key domain.HourKey, token string, h Holder) (LinkAccess, error) {
	return linkAccess(ctx, c.db, key, token, h)
}

const linkAccessSQL = `SELECT t.id, t.recordings, t.retention_days, t.download_limit, c.now_us,
	d.completed_us, d.reopened_us, d.expired_us IS NOT NULL, a.object_key, a.revision, a.size, a.etag, a.version_id,
	t.closed_us IS NOT NULL OR $6 <> '' AND NOT EXISTS (SELECT 1 FROM applications p WHERE p.id = $6 AND p.tenant = $1 AND p.disabled_us IS NULL AND p.epoch = $7),
	(SELECT min(x.spent) FROM window_uses x WHERE x.tenant = $1 AND x.name = $3 AND x.at_us > c.now_us - CAST(3600000000 AS BIGINT) AND x.at_us <= c.now_us + 600000000), ` + windowColumns + `
	FROM tenants t CROSS JOIN catalog_clock c LEFT JOIN days d ON d.tenant = $1 AND d.day = $2
	LEFT JOIN archives a ON a.token = $4 AND a.tenant = $1 AND a.day = $2 AND a.hour = $5 AND a.state IN ('published', 'superseded')` +
	windowJoins + ` WHERE t.id = $1`

func linkAccess(ctx context.Context, q db.Querier, key domain.HourKey, token string, h Holder) (a LinkAccess, err error) {
	var archive LinkedArchive
	var settled, reopened, oldest time.Time
	var expired bool
	t := &a.Tenant
	err = q.QueryRowContext(ctx, linkAccessSQL, key.Tenant, key.Day, downloadWindow(key), token, key.Hour, h.ID, h.Epoch).
		Scan(&t.ID, &t.Recordings, &t.RetentionDays, &t.DownloadLimit, db.Time(&a.Now), db.Time(&settled), db.Time(&reopened), &expired,
			db.OrZero(&archive.ObjectKey), db.OrZero(&archive.Revision), db.OrZero(&archive.Size), db.OrZero(&archive.ETag), db.OrZero(&archive.VersionID),
			&a.Revoked, db.OrZero(&a.Spent), &a.Window.Used, db.Time(&oldest), &a.last.us, &a.last.n, &a.last.stray)
	if err != nil {
		return a, db.NotFound(err, "tenant %q does not exist", key.Tenant)
	}
	a.Window.Limit, a.Window.Reset = t.DownloadLimit, untilReset(oldest, a.Now)
	a.Expired = expired || !a.Now.Before(domain.RetentionEnd(key.Day, settled, reopened, t.RetentionDays))
	if archive.ObjectKey != "" {
		archive.HourKey, a.Archive = key, &archive
		return a, nil
	}
	erased := false
	err = q.QueryRowContext(ctx, erasedHourSQL, key.Tenant, key.Day, key.Hour).Scan(&erased)
	a.Expired = a.Expired || erased
	return a, err
}

// erasedHourSQL says whether something of an hour was erased.
const erasedHourSQL = `SELECT EXISTS (SELECT 1 FROM erasures e JOIN erasure_hours h ON h.erasure = e.id WHERE e.tenant = $1 AND h.day = $2 AND h.hour = $3)`

// Download is a request for the bytes behind a link.
type Download struct {
	domain.HourKey
	Token     string // the archive's
	Revision  int64
	Object    string
	Until     time.Time // when the link ends
	Continues bool      // it does not start at the first byte
	Spend     int64     // what a continuation may send, in bytes
	Allowance int64     // what all continuations of one counted download may send
	Origin    audit.Origin
}

// BegunDownload is a download whose bytes may be sent.
type BegunDownload struct {
	Window  Window
	Counted bool  // false for a continuation that spends from the allowance of a counted download
	from    int64 // that download's use of the window
}

// BeginDownload counts a download and writes it to the audit log. A continuation is not counted if
// one of the downloads counted within the last hour has enough left of its allowance. Errors:
// KindLimited when the window is full (Window is set then, and nothing is counted), KindNotFound.
func (c *Catalog) BeginDownload(ctx context.Context, d Download) (out BegunDownload, err error) {
	name := downloadWindow(d.HourKey)
	err = c.db.Batch(ctx, func(tx *db.Tx) error {
		if err := lockWindow(ctx, tx, d.Tenant, name); err != nil {
			return err
		}
		a, err := linkAccess(ctx, tx, d.HourKey, d.Token, Holder{})
		if err != nil {
			return err
		}
		out = BegunDownload{Window: a.Window}
		at := db.Micros(a.Now)
		detail := downloadDetail{Day: d.Day, Hour: d.HH(), Revision: d.Revision, Object: d.Object, Until: d.Until, Continues: d.Continues, Origin: d.Origin}
		if d.Continues {
			err := tx.QueryRowContext(ctx, spendSQL, d.Tenant, name, at, d.Spend, d.Allowance).Scan(&out.from)
			if err == nil {
				subject := fmt.Sprint(d.Object, " ", db.Micros(d.Until), " ", d.Origin.Remote)
				return d.Origin.AppendOnce(ctx, tx, at, d.Tenant, ActionContinued, subject, detail)
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		if a.Window.Full() {
			return domain.Errorf(domain.KindLimited, "the downloads of this hour are used up")
		}
		out.Counted = true
		if out.Window, err = a.Window.count(ctx, tx, d.Tenant, name, a.last, at); err != nil {
			return err
		}
		return d.Origin.Append(ctx, tx, at, d.Tenant, ActionDownload, detail)
	})
	return out, err
}

// spendSQL spends $4 bytes from the latest use that counts and has as much left of its allowance
// $5.
const spendSQL = `UPDATE window_uses SET spent = spent + $4 WHERE tenant = $1 AND name = $2 AND at_us = (SELECT max(at_us) FROM window_uses
	WHERE tenant = $1 AND name = $2 AND at_us > $3 - CAST(3600000000 AS BIGINT) AND at_us <= $3 + 600000000 AND spent + $4 <= CAST($5 AS BIGINT))
	RETURNING at_us`

// ReturnUnsent gives bytes back that a continuation was to send and did not.
func (c *Catalog) ReturnUnsent(ctx context.Context, d Download, b BegunDownload, bytes int64) error {
	return c.db.Batch(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE window_uses SET spent = spent - $4 WHERE tenant = $1 AND name = $2 AND at_us = $3 AND spent >= $4`,
			d.Tenant, downloadWindow(d.HourKey), b.from, bytes)
		return err
	})
}
