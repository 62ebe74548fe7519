package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// linkSlack is how much longer than its links an archive is kept, so that not every answer has to
// raise the archive's own time.
const linkSlack = 10 * time.Minute

// DayAccess is what a tenant may see of a day, before anything is counted.
type DayAccess struct {
	Tenant  domain.Tenant
	Now     time.Time // the catalog's clock
	Window  Window    // day requests
	Expired bool      // past retention
	end     time.Time
	version sql.NullInt64 // raised by every change of the day; null while it has no row
	last    windowLast
}

// DayAccess reads a tenant, its window of day requests and whether the day is past retention. An
// empty day reads the rest alone. Error: KindNotFound for an unknown tenant.
func (c *Catalog) DayAccess(ctx context.Context, tenant string, day domain.Day) (DayAccess, error) {
	a, err := dayAccess(ctx, reading{c}, tenant, day)
	return a, translate(err)
}

// rowQuerier is a transaction or a pool.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const dayAccessSQL = `SELECT t.id, t.name, t.recordings, t.export, t.retention_days, t.day_limit, t.download_limit, t.created_us,
	c.now_us, d.locked, d.completed_us, d.reopened_us, d.expired_us, ` + windowColumns + `
	FROM tenants t CROSS JOIN catalog_clock c LEFT JOIN days d ON d.tenant = $1 AND d.day = $2` + windowJoins + `
	WHERE t.id = $1`

func dayAccess(ctx context.Context, q rowQuerier, tenant string, day domain.Day) (a DayAccess, err error) {
	var created, at int64
	var completed, reopened, expired sql.NullInt64
	var s windowScan
	t := &a.Tenant
	err = q.QueryRowContext(ctx, dayAccessSQL, tenant, day, dayWindow).
		Scan(&t.ID, &t.Name, &t.Recordings, &t.Export, &t.RetentionDays, &t.DayLimit, &t.DownloadLimit, &created,
			&at, &a.version, &completed, &reopened, &expired, &s.used, &s.oldest, &s.last.us, &s.last.n)
	if err != nil {
		return a, notFound(err, "tenant %q does not exist", tenant)
	}
	t.Created, a.Now, a.Window, a.last = fromMicros(created), fromMicros(at), s.window(t.DayLimit, at), s.last
	if day != "" {
		a.end = domain.RetentionEnd(day, timeOf(completed), timeOf(reopened), t.RetentionDays)
		a.Expired = expired.Valid || !a.Now.Before(a.end)
	}
	return a, nil
}

// DayRequest asks for a day's links.
type DayRequest struct {
	Tenant  string
	Day     domain.Day
	LinkTTL time.Duration
	Origin  Origin
}

// IssuedDay is a day with the time until which its archives stay downloadable.
type IssuedDay struct {
	View     DayView
	Window   Window
	LinksEnd time.Time // now + LinkTTL, never past the day's end of retention
}

// IssueDay counts one day request and hands the day out: its archives are kept until the links
// end, and the audit log says who was given what. Errors: KindExpired past retention, KindLimited
// when the window is full (IssuedDay.Window is set then, and nothing is counted), KindNotFound.
func (c *Catalog) IssueDay(ctx context.Context, r DayRequest) (IssuedDay, error) {
	key := DayKey{r.Tenant, r.Day}
	var out IssuedDay
	var served *servedDay
	err := c.grouped(ctx, func(tx smallTx) error {
		if err := lockWindow(ctx, tx, r.Tenant, dayWindow); err != nil {
			return err
		}
		a, err := dayAccess(ctx, tx, r.Tenant, r.Day)
		if err != nil {
			return err
		}
		out.Window = a.Window
		switch {
		case a.Expired:
			return domain.Errorf(domain.KindExpired, "%s is past retention", r.Day)
		case a.Window.Full():
			return domain.Errorf(domain.KindLimited, "the day requests of this hour are used up")
		}
		at := micros(a.Now)
		if out.Window, err = a.Window.count(ctx, tx, r.Tenant, dayWindow, a.last, at); err != nil {
			return err
		}
		out.LinksEnd = earlier(a.Now.Add(r.LinkTTL), a.end)
		if served = c.served.get(key); !served.fits(a.version, out.LinksEnd) {
			if served, err = lockServed(ctx, tx, key, a.version.Valid, out.LinksEnd); err != nil {
				return err
			}
		}
		out.View = served.view
		out.View.Now, out.View.RetentionDays, out.View.RetentionEnd, out.View.Expired = a.Now, a.Tenant.RetentionDays, a.end, false
		detail, err := issuedDetail(r, out.LinksEnd, served.audit)
		if err != nil {
			return err
		}
		return r.Origin.append(ctx, tx, at, r.Tenant, ActionDay, detail)
	})
	if err != nil {
		return IssuedDay{Window: out.Window}, err
	}
	c.served.put(key, served) // only now: a version of a transaction undone may come again
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// lockServed reads a day under its lock and raises the time until which its archives are kept. A
// day without a row gets none: asking for a day is no reason to remember it.
func lockServed(ctx context.Context, tx smallTx, key DayKey, known bool, linksEnd time.Time) (*servedDay, error) {
	s := &servedDay{linksUntil: linksEnd}
	if known {
		err := tx.QueryRowContext(ctx, `UPDATE days SET locked = locked + 1 WHERE tenant = $1 AND day = $2 RETURNING locked`,
			key.Tenant, key.Day).Scan(&s.version)
		if err != nil {
			return nil, err
		}
		s.linksUntil = linksEnd.Add(linkSlack)
		_, err = tx.ExecContext(ctx, `UPDATE archives SET links_until_us = $3 WHERE links_until_us < $3 AND object_key IN
			(SELECT archive FROM hours WHERE tenant = $1 AND day = $2 AND archive IS NOT NULL)`, key.Tenant, key.Day, micros(s.linksUntil))
		if err != nil {
			return nil, err
		}
	}
	var err error
	if s.view, err = dayView(tx.context(ctx), tx.Tx, key.Tenant, key.Day); err != nil {
		return nil, err
	}
	s.audit, err = issuedLinks(&s.view)
	return s, err
}
