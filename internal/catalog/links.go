package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// linkSlack is how much longer than its links an archive is kept, so that not every answer has to
// raise the archive's own time.
const linkSlack = 10 * time.Minute

// DayAccess is what a tenant may see of a day, before anything is counted.
type DayAccess struct {
	Tenant  domain.Tenant // what of it decides about days
	App     *Application  // the one that was asked about; nil when there is none
	Now     time.Time     // the catalog's clock
	Window  Window        // day requests
	Expired bool          // past retention
	end     time.Time
	version sql.NullInt64 // raised by every change of the day; null while it has no row
	last    windowLast
}

// DayAccess reads what IssueDay decides by, and counts nothing. An empty day reads the rest alone.
// Error: KindNotFound for an unknown tenant.
func (c *Catalog) DayAccess(ctx context.Context, tenant, app string, day domain.Day) (DayAccess, error) {
	p := &dayPart{DayRequest: DayRequest{Tenant: tenant, App: app, Day: day}}
	if err := c.look(ctx, c.db, []*dayPart{p}); err != nil {
		return DayAccess{}, err
	}
	return p.access, p.unknown()
}

// DayRequest asks for a day's links.
type DayRequest struct {
	Tenant  string
	App     string     // the application that asks; "" for none
	Day     domain.Day // "" is a day of which nothing is known
	LinkTTL time.Duration
	Origin  Origin

	// Allow, unless nil, looks at what stands before anything is counted; its error ends the
	// request. Another goroutine may call it, and more than once.
	Allow func(a *DayAccess) error

	// Make, unless nil, makes what the answer needs of the day, never nil. While the day stands that
	// serves all requests with a Make, so all of a Catalog have the same. It reads v and keeps nothing of
	// it that can change.
	Make func(v *DayView) any
}

// IssuedDay is a day with the time until which its archives stay downloadable.
type IssuedDay struct {
	View          *DayView  // nil when the request had a Make
	Made          any       // by Make; many answers share it: read only
	Now           time.Time // the catalog's clock
	RetentionDays int
	RetentionEnd  time.Time
	Window        Window
	LinksEnd      time.Time // now + LinkTTL, never past the day's end of retention
}

// IssueDay counts one day request and hands the day out: its archives are kept until the links
// end, and the audit log says who was given what. Errors: what Allow said, KindExpired past
// retention, KindLimited when the window is full, KindNotFound for an unknown tenant; nothing is
// counted then. Whenever the window was read, it is in the answer.
func (c *Catalog) IssueDay(ctx context.Context, r DayRequest) (IssuedDay, error) {
	p := &dayPart{DayRequest: r}
	err := c.issuing.do(ctx, p, c.issueDays)
	if err != nil {
		return IssuedDay{Window: p.access.Window}, err
	}
	return p.out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// errMoved says that something changed after what decides about a request for it was read: both are
// read again.
var errMoved = fmt.Errorf("what was read changed meanwhile: %w", db.ErrRetry)

// lockServed reads a day under its lock and raises the time until which its archives are kept. The
// day's version stays, so that what others keep of the day stays good. A day without a row gets none:
// asking for a day is no reason to remember it. seen is the version that the request was judged by.
// Error: errMoved when it is another now.
func lockServed(ctx context.Context, tx *db.Tx, key DayKey, seen sql.NullInt64, linksEnd time.Time) (*servedDay, error) {
	s := &servedDay{known: seen.Valid, linksUntil: linksEnd}
	if s.known {
		err := tx.QueryRowContext(ctx, `UPDATE days SET locked = locked WHERE tenant = $1 AND day = $2 RETURNING locked`,
			key.Tenant, key.Day).Scan(&s.version)
		if err != nil {
			return nil, err
		}
		if s.version != seen.Int64 {
			return nil, errMoved
		}
		s.linksUntil = linksEnd.Add(linkSlack)
		_, err = tx.ExecContext(ctx, `UPDATE archives SET links_until_us = $3 WHERE links_until_us < $3 AND object_key IN
			(SELECT archive FROM hours WHERE tenant = $1 AND day = $2 AND archive IS NOT NULL)`, key.Tenant, key.Day, db.Micros(s.linksUntil))
		if err != nil {
			return nil, err
		}
	}
	view, err := dayView(ctx, tx, key.Tenant, key.Day)
	if err != nil {
		return nil, err
	}
	if view.Known != s.known {
		return nil, errMoved
	}
	s.view = &view
	s.links, err = keepLinks(ctx, tx, s.view)
	return s, err
}
