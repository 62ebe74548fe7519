package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// linkSlack is how much longer than its links an archive is kept. So only some answers have to
// raise the time until which it is kept.
const linkSlack = 10 * time.Minute

// DayRequest is a tenant's request for the links of a day.
type DayRequest struct {
	TokenClaims
	Scope   string     // which the claims must grant
	Day     domain.Day // "" when the request names none
	LinkTTL time.Duration
	Origin  audit.Origin
}

// Refusals of a day request that have no kind of their own.
var (
	ErrScope   = domain.Errorf(domain.KindForbidden, "the access token lacks the scope")
	ErrFeature = domain.Errorf(domain.KindForbidden, "daily recordings are not enabled for the tenant")
	ErrFuture  = domain.Errorf(domain.KindInvalid, "the day is in the future")
)

// IssuedDay is a day with the time until which its archives stay downloadable.
type IssuedDay struct {
	DayKey
	Now           time.Time // the catalog's clock
	Window        Window
	LinksEnd      time.Time // now + LinkTTL, never past the day's end of retention
	Sessions      int64
	Settled       time.Time // as in DayView
	RetentionEnd  time.Time
	RetentionDays int
	Hours         [24]ServedHour
}

// IssueDay counts one day request and reads the day. It keeps the day's archives until the links
// end, and writes to the audit log which links were issued to whom. A refused request counts
// nothing.
//
// Errors, in the order of the checks: KindUnauthorized when the application may not be used any
// more, ErrScope, KindNotFound for an unknown tenant, ErrFeature, KindInvalid without a day,
// ErrFuture, KindExpired past retention, KindLimited when the window is full. A refusal has the
// window too, if it was read.
func (c *Catalog) IssueDay(ctx context.Context, r DayRequest) (out IssuedDay, err error) {
	var refused error // not the transaction's error, which would make a shared transaction run again
	err = c.db.Batch(ctx, func(tx *db.Tx) error {
		a, err := readDayAccess(ctx, tx, r)
		if err != nil {
			return err
		}
		if refused = a.refusal(r); refused == nil && tx.Postgres() {
			// Other transactions can write meanwhile. Their changes are visible once the rows are
			// locked.
			if err := lockDayRequest(ctx, tx, r); err != nil {
				return err
			}
			if a, err = readDayAccess(ctx, tx, r); err != nil {
				return err
			}
			refused = a.refusal(r)
		}
		out = IssuedDay{Window: a.window}
		if refused == nil {
			out, err = issueDay(ctx, tx, r, a)
		}
		return err
	})
	return out, cmp.Or(err, refused)
}

// CheckDay says how IssueDay would answer, and counts nothing.
func (c *Catalog) CheckDay(ctx context.Context, r DayRequest) (Window, error) {
	a, err := readDayAccess(ctx, c.db, r)
	if err != nil {
		return Window{}, err
	}
	return a.window, a.refusal(r)
}

// dayAccess is everything that decides about a day request.
type dayAccess struct {
	app     *Application  // nil when it does not exist
	tenant  domain.Tenant // only the fields that decide; without an id when it does not exist or is closed
	now     time.Time     // the catalog's clock
	window  Window
	last    windowLast
	known   bool      // the day has a row
	end     time.Time // from when the day is past retention
	expired bool

	sessions int64 // of the day
	settled  time.Time
}

// lockDayRequest locks the window and the day until the transaction ends. It inserts no row for a
// day that has none, because a request alone must not leave a row.
func lockDayRequest(ctx context.Context, tx *db.Tx, r DayRequest) error {
	if err := lockWindow(ctx, tx, r.Tenant, dayWindow); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE days SET locked = locked WHERE tenant = $1 AND day = $2`, r.Tenant, r.Day)
	return err
}

const dayAccessSQL = `SELECT p.id, p.tenant, p.scopes, p.disabled_us, p.epoch, t.id, t.recordings, t.retention_days, t.day_limit, t.floor_us,
	c.now_us, d.tenant IS NOT NULL, d.completed_us, d.reopened_us, d.expired_us IS NOT NULL,
	d.total_sessions, ` + windowColumns + `
	FROM catalog_clock c LEFT JOIN applications p ON p.id = $4 LEFT JOIN tenants t ON t.id = $1 AND t.closed_us IS NULL
	LEFT JOIN days d ON d.tenant = $1 AND d.day = $2` + windowJoins

// readDayAccess reads everything that decides about a request, in one statement.
func readDayAccess(ctx context.Context, q db.Querier, r DayRequest) (a dayAccess, err error) {
	var app Application
	var scopes string
	var reopened, floor, oldest time.Time
	err = q.QueryRowContext(ctx, dayAccessSQL, r.Tenant, r.Day, dayWindow, r.App).
		Scan(db.OrZero(&app.ID), db.OrZero(&app.Tenant), db.OrZero(&scopes), db.Time(&app.Disabled), db.OrZero(&app.Epoch),
			db.OrZero(&a.tenant.ID), db.OrZero(&a.tenant.Recordings), db.OrZero(&a.tenant.RetentionDays), db.OrZero(&a.window.Limit), db.Time(&floor),
			db.Time(&a.now), &a.known, db.Time(&a.settled), db.Time(&reopened), &a.expired, db.OrZero(&a.sessions), &a.window.Used, db.Time(&oldest), &a.last.us, &a.last.n, &a.last.stray)
	if err != nil {
		return a, err
	}
	a.window.Reset = untilReset(oldest, a.now)
	if app.ID != "" {
		app.Scopes = strings.Fields(scopes)
		a.app = &app
	}
	if r.Day != "" {
		a.end = domain.RetentionEnd(r.Day, a.settled, reopened, a.tenant.RetentionDays)
		a.expired = a.expired || !a.now.Before(a.end) || !a.known && belowFloor(r.Day, floor, a.now)
	}
	return a, nil
}

// refusal gives the reason to refuse the request; nil when there is none.
func (a *dayAccess) refusal(r DayRequest) error {
	granted, err := r.Granted(a.app)
	switch {
	case err != nil:
		return err
	case !slices.Contains(granted, r.Scope):
		return ErrScope
	case a.tenant.ID == "":
		return domain.Errorf(domain.KindNotFound, "tenant %.70q does not exist", r.Tenant)
	case !a.tenant.Recordings:
		return ErrFeature
	case r.Day == "":
		return domain.Errorf(domain.KindInvalid, "a day is missing")
	case r.Day > domain.DayOf(a.now):
		return ErrFuture
	case a.expired:
		return domain.Errorf(domain.KindExpired, "%s is past retention", r.Day)
	case a.window.Full():
		return domain.Errorf(domain.KindLimited, "the day requests of this hour are used up")
	}
	return nil
}

// issueDay counts the request, reads the hours, keeps their archives and writes the audit log.
func issueDay(ctx context.Context, tx *db.Tx, r DayRequest, a dayAccess) (out IssuedDay, err error) {
	at := db.Micros(a.now)
	out = IssuedDay{DayKey: DayKey{r.Tenant, r.Day}, Now: a.now, LinksEnd: a.now.Add(r.LinkTTL), Sessions: a.sessions, Settled: a.settled, RetentionEnd: a.end, RetentionDays: a.tenant.RetentionDays}
	if a.end.Before(out.LinksEnd) {
		out.LinksEnd = a.end
	}
	if out.Window, err = a.window.count(ctx, tx, r.Tenant, dayWindow, a.last, at); err != nil {
		return out, err
	}
	if err := out.readHours(ctx, tx, r, a.known); err != nil {
		return out, err
	}
	links, err := saveLinks(ctx, tx, &out.Hours)
	if err != nil {
		return out, err
	}
	detail := dayDetail{Day: r.Day, Until: out.LinksEnd, Origin: r.Origin}
	if links == nil {
		detail.Links = &[]issuedLink{}
	}
	return out, r.Origin.AppendLinks(ctx, tx, at, r.Tenant, ActionDay, detail, links)
}

// readHours reads the day's hours, and keeps their archives until the links end. The day is locked.
func (d *IssuedDay) readHours(ctx context.Context, tx *db.Tx, r DayRequest, known bool) error {
	for i := range d.Hours {
		d.Hours[i] = ServedHour{Hour: i, State: StatePending}
	}
	keep := false
	hours, err := db.Collect(ctx, tx, func(rows *sql.Rows) (ServedHour, error) {
		var until time.Time
		h, err := scanServed(rows, db.Time(&until))
		keep = keep || h.Archive != nil && until.Before(d.LinksEnd)
		return h, err
	}, issuedHoursSQL, r.Tenant, r.Day)
	switch {
	case err != nil:
		return err
	case len(hours) > 0 && !known: // the day got its row after it could not be locked
		return db.ErrRetry
	}
	for _, h := range hours {
		d.Hours[h.Hour] = h
	}
	if keep {
		_, err = tx.ExecContext(ctx, keepArchivesSQL, r.Tenant, r.Day, db.Micros(d.LinksEnd.Add(linkSlack)))
	}
	return err
}

// issuedHoursSQL reads what a day's hours serve, and the end of the last link of each archive.
const issuedHoursSQL = `SELECT ` + servedColumns + `, a.links_until_us` + hoursOfDay

// keepArchivesSQL raises the time until which a day's archives are kept to $3.
const keepArchivesSQL = `UPDATE archives SET links_until_us = $3 WHERE links_until_us < $3 AND object_key IN
	(SELECT archive FROM hours WHERE tenant = $1 AND day = $2 AND archive IS NOT NULL)`
