package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// postgresLanes is how many day requests PostgreSQL works on at a time, each in a transaction of its
// own: it groups commits itself, and waits for one window's lock then hold up nobody else.
const postgresLanes = 20

// dayPart is one request for a day and what came of it.
type dayPart struct {
	DayRequest
	access DayAccess
	out    IssuedDay
	served *servedDay
}

// unknown is the error for a tenant that does not exist.
func (p *dayPart) unknown() error {
	if p.access.Tenant.ID == "" {
		return domain.Errorf(domain.KindNotFound, "tenant %.70q does not exist", p.Tenant)
	}
	return nil
}

// dayLists are the statements of a batch of day requests.
type dayLists struct {
	look  list // reads what decides about each request
	locks list // locks windows, making those that are missing
	uses  list // counts
	lasts list
	lines list // writes the audit log
}

// newestUse reads a column of the tenant's latest use that no clock ahead of its time counted.
func newestUse(column string) string {
	return `(SELECT ` + column + ` FROM window_uses u WHERE u.tenant = ask.tenant AND u.name = 'day' AND u.at_us <= c.now_us + 600000000
		ORDER BY u.at_us DESC LIMIT 1)`
}

// texts are the statements that SQLite is to keep parsed.
func (d *dayLists) texts() (out []string) {
	for _, l := range []list{d.look, d.uses, d.lasts, d.lines} {
		for _, t := range l.texts {
			out = append(out, t.text)
		}
	}
	return out
}

func newDayLists(postgres bool) dayLists {
	insert := `INSERT `
	if !postgres { // SQLite need not be able to undo one statement alone: a failure ends the transaction
		insert = `INSERT OR FAIL `
	}
	const upsert = ` ON CONFLICT (tenant, name) DO UPDATE SET locked = windows.locked + 1`
	return dayLists{
		// The window is read by subqueries, and not joined, so that PostgreSQL never takes it into its
		// head to read all windows; the clock once, so that one instant decides about all of it.
		look: newList(`WITH ask (i, tenant, day, app) AS (VALUES `, `(#, CAST(@ AS TEXT), CAST(@ AS TEXT), CAST(@ AS TEXT))`,
			`), c AS MATERIALIZED (SELECT now_us FROM catalog_clock LIMIT 1)
			SELECT ask.i, p.id, p.tenant, p.scopes, p.disabled_us, p.epoch, t.id, t.recordings, t.retention_days, t.day_limit, t.floor_us,
				c.now_us, d.locked, d.completed_us, d.reopened_us, d.expired_us,
				(SELECT CASE WHEN `+strayLast+` THEN `+newestUse("u.at_us")+` ELSE last_us END FROM windows w WHERE w.tenant = ask.tenant AND w.name = 'day'),
				(SELECT CASE WHEN `+strayLast+` THEN `+newestUse("u.n")+` ELSE last_n END FROM windows w WHERE w.tenant = ask.tenant AND w.name = 'day'),
				(SELECT `+strayLast+` FROM windows w WHERE w.tenant = ask.tenant AND w.name = 'day'),
				(SELECT min(at_us) FROM window_uses u WHERE u.tenant = ask.tenant AND u.name = 'day' AND u.at_us > c.now_us - 3600000000
					AND u.at_us <= c.now_us + 600000000),
				(SELECT n FROM window_uses u WHERE u.tenant = ask.tenant AND u.name = 'day' AND u.at_us > c.now_us - 3600000000
					AND u.at_us <= c.now_us + 600000000 ORDER BY u.at_us LIMIT 1)
			FROM ask CROSS JOIN c LEFT JOIN applications p ON p.id = ask.app LEFT JOIN tenants t ON t.id = ask.tenant
			LEFT JOIN days d ON d.tenant = ask.tenant AND d.day = ask.day`),
		locks: newList(`INSERT INTO windows (tenant, name) VALUES `, `(@, @)`, upsert),
		uses:  newList(insert+`INTO window_uses (tenant, name, at_us, n) VALUES `, `(@, @, @, @)`, ``),
		lasts: newList(`INSERT INTO windows (tenant, name, last_us, last_n, locked) VALUES `, `(@, @, @, @, 1)`,
			upsert+`, last_us = excluded.last_us, last_n = excluded.last_n`),
		lines: newList(insert+`INTO audit (at_us, tenant, actor, action, detail, links) VALUES `, `(@, @, @, @, @, @)`, ``),
	}
}

// issueDays answers a batch of day requests in one transaction. When one of them can't be written,
// each gets a transaction of its own, so that it spoils nobody else's.
func (c *Catalog) issueDays(ctx context.Context, batch []*member[*dayPart]) {
	slices.SortStableFunc(batch, func(a, b *member[*dayPart]) int { // everybody locks in this order
		return cmp.Or(cmp.Compare(a.part.Tenant, b.part.Tenant), cmp.Compare(a.part.Day, b.part.Day))
	})
	err := c.issueTogether(ctx, batch)
	switch {
	case err == nil:
	case len(batch) > 1 && ctx.Err() == nil && domain.KindOf(err) != domain.KindUnavailable:
		for i, m := range batch {
			if err := c.issueTogether(ctx, batch[i:i+1]); err != nil {
				m.err = err
			}
		}
	default:
		for _, m := range batch {
			m.err = err
		}
	}
}

func (c *Catalog) issueTogether(ctx context.Context, batch []*member[*dayPart]) error {
	moved := false // a trial found that a day had changed since it was looked at
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		err := c.issue(ctx, tx, batch, moved)
		moved = moved || errors.Is(err, errMoved)
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range batch { // only now: a version of a transaction undone may come again
		if m.err == nil {
			c.served.put(DayKey{m.part.Tenant, m.part.Day}, m.part.served)
		}
	}
	return nil
}

// issue is the transaction of a batch. What is refused leaves nothing behind. Days that moved before
// are locked before they are looked at: else it would never end where somebody always changes them.
func (c *Catalog) issue(ctx context.Context, tx *db.Tx, batch []*member[*dayPart], moved bool) error {
	open := make([]*member[*dayPart], 0, len(batch))
	for _, m := range batch {
		if m.err = m.ctx.Err(); m.err == nil { // else nobody waits for it any more
			open = append(open, m)
		}
	}
	open, err := c.allowed(ctx, tx, open)
	if err != nil {
		return err
	}
	if tx.Postgres() { // others can write meanwhile: what they counted shows once the windows are locked
		if err := c.lockDayWindows(ctx, tx, open); err != nil {
			return err
		}
		if moved {
			if err := lockDays(ctx, tx, open); err != nil {
				return err
			}
		}
		if open, err = c.allowed(ctx, tx, open); err != nil {
			return err
		}
	}
	return c.countDays(ctx, tx, open)
}

// allowed looks at what each request asks for and gives those that nothing speaks against.
func (c *Catalog) allowed(ctx context.Context, tx *db.Tx, batch []*member[*dayPart]) ([]*member[*dayPart], error) {
	parts := make([]*dayPart, 0, len(batch))
	for _, m := range batch {
		parts = append(parts, m.part)
	}
	if err := c.look(ctx, tx, parts); err != nil {
		return nil, err
	}
	open := batch[:0:0]
	for _, m := range batch {
		if m.err = m.part.refusal(); m.err == nil {
			open = append(open, m)
		}
	}
	return open, nil
}

// refusal says why a request is to be refused; nil if it is not.
func (p *dayPart) refusal() error {
	if p.Allow != nil {
		if err := p.Allow(&p.access); err != nil {
			return err
		}
	}
	switch err := p.unknown(); {
	case err != nil:
		return err
	case p.Day == "":
		return domain.Errorf(domain.KindInvalid, "a day is missing")
	case p.access.Expired:
		return domain.Errorf(domain.KindExpired, "%s is past retention", p.Day)
	case p.access.Window.Full():
		return domain.Errorf(domain.KindLimited, "the day requests of this hour are used up")
	}
	return nil
}

// lockDayWindows locks the windows of the batch's tenants, which stand in order.
func (c *Catalog) lockDayWindows(ctx context.Context, tx *db.Tx, batch []*member[*dayPart]) error {
	args := make([]any, 0, c.days.locks.width*len(batch))
	for i, m := range batch {
		if i == 0 || m.part.Tenant != batch[i-1].part.Tenant {
			args = append(args, m.part.Tenant, dayWindow)
		}
	}
	return c.days.locks.exec(ctx, tx, args)
}

// lockDays locks the days of the batch that have a row. Their versions stay.
func lockDays(ctx context.Context, tx *db.Tx, batch []*member[*dayPart]) error {
	for _, m := range batch { // one: where others can write, no requests share a transaction
		if _, err := tx.ExecContext(ctx, `UPDATE days SET locked = locked WHERE tenant = $1 AND day = $2`, m.part.Tenant, m.part.Day); err != nil {
			return err
		}
	}
	return nil
}

// countDays counts the requests, raises the time until which archives are kept, writes the audit
// log and gives the days out. The windows are locked and looked at; requests of one tenant, which
// stand side by side, see what those before them count.
func (c *Catalog) countDays(ctx context.Context, tx *db.Tx, batch []*member[*dayPart]) error {
	var uses, lasts, lines []any
	var before windowLast            // of the tenant at hand, as it was read
	fresh := map[DayKey]*servedDay{} // of this transaction, which holds their locks
	for i, m := range batch {
		p := m.part
		a := &p.access
		if i > 0 && batch[i-1].part.Tenant == p.Tenant {
			a.Window, a.last = batch[i-1].part.access.Window, batch[i-1].part.access.last
			m.err = p.refusal()
		} else {
			before = a.last
		}
		if m.err == nil {
			line, err := c.countDay(ctx, tx, p, fresh)
			if err != nil {
				return err
			}
			uses = append(uses, p.Tenant, dayWindow, a.last.us, a.last.n)
			lines = append(lines, line...)
		}
		if a.last != before && (i+1 == len(batch) || batch[i+1].part.Tenant != p.Tenant) {
			lasts = append(lasts, p.Tenant, dayWindow, a.last.us, a.last.n)
		}
	}
	if err := c.days.uses.exec(ctx, tx, uses); err != nil {
		return err
	}
	if err := c.days.lasts.exec(ctx, tx, lasts); err != nil {
		return err
	}
	return c.days.lines.exec(ctx, tx, lines)
}

// countDay counts one request, fills in what it is given and tells its line of the audit log.
func (c *Catalog) countDay(ctx context.Context, tx *db.Tx, p *dayPart, fresh map[DayKey]*servedDay) ([]any, error) {
	a := &p.access
	at := db.Micros(a.Now)
	if a.Window.tidies(a.last) {
		if err := forgetUses(ctx, tx, p.Tenant, dayWindow, at); err != nil {
			return nil, err
		}
	}
	a.Window, a.last = a.Window.add(a.last, at)
	if err := c.handOut(ctx, tx, p, fresh); err != nil {
		return nil, err
	}
	detail, err := issuedDetail(p.DayRequest, p.out.LinksEnd, p.served.links)
	return []any{at, p.Tenant, p.Origin.Actor, ActionDay, detail, p.served.links}, err
}

// handOut fills in what a counted request is given.
func (c *Catalog) handOut(ctx context.Context, tx *db.Tx, p *dayPart, fresh map[DayKey]*servedDay) (err error) {
	a, key := &p.access, DayKey{p.Tenant, p.Day}
	p.out = IssuedDay{Now: a.Now, RetentionDays: a.Tenant.RetentionDays, RetentionEnd: a.end, Window: a.Window,
		LinksEnd: earlier(a.Now.Add(p.LinkTTL), a.end)}
	p.served = fresh[key]
	if p.served == nil || p.served.linksUntil.Before(p.out.LinksEnd) {
		if p.served = c.served.get(key); p.Make == nil || !p.served.fits(a.version, p.out.LinksEnd) {
			if p.served, err = lockServed(ctx, tx, key, a.version, p.out.LinksEnd); err != nil {
				return err
			}
			fresh[key] = p.served
		}
	}
	if p.Make == nil {
		p.out.View = p.served.view
	} else {
		p.out.Made = p.served.make(p.Make)
	}
	return nil
}

// look reads what decides about each part.
func (c *Catalog) look(ctx context.Context, q db.Querier, parts []*dayPart) error {
	args := make([]any, 0, c.days.look.width*len(parts))
	for _, p := range parts {
		args = append(args, p.Tenant, p.Day, p.App)
	}
	return c.days.look.each(args, func(text string, args []any, before int) (err error) {
		rows, err := q.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer func() { err = cmp.Or(err, rows.Close()) }()
		for rows.Next() {
			if err := scanAccess(rows, parts[before:]); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// scanAccess reads one row into the part that it names.
func scanAccess(rows *sql.Rows, parts []*dayPart) error {
	var i int
	var at int64
	var app, owner, scopes, tenant sql.NullString
	var disabled, epoch, retention, limit, completed, reopened, expired, floor, oldestNumber sql.NullInt64
	var recordings sql.NullBool
	var a DayAccess
	var s windowScan
	err := rows.Scan(&i, &app, &owner, &scopes, &disabled, &epoch, &tenant, &recordings, &retention, &limit, &floor,
		&at, &a.version, &completed, &reopened, &expired, &s.lastUse, &s.lastNumber, &s.stray, &s.oldest, &oldestNumber)
	if err != nil {
		return err
	}
	if s.oldest.Valid {
		s.used.Int64 = s.lastNumber.Int64 - oldestNumber.Int64 + 1
	}
	p := parts[i]
	if app.Valid {
		a.App = &Application{ID: app.String, Tenant: owner.String, Scopes: strings.Fields(scopes.String), Disabled: db.TimeOf(disabled), Epoch: epoch.Int64}
	}
	a.Tenant = domain.Tenant{ID: tenant.String, Recordings: recordings.Bool, RetentionDays: int(retention.Int64), DayLimit: int(limit.Int64)}
	a.Now, a.Window, a.last = db.FromMicros(at), s.window(a.Tenant.DayLimit, at), s.last()
	if p.Day != "" {
		a.end = domain.RetentionEnd(p.Day, db.TimeOf(completed), db.TimeOf(reopened), a.Tenant.RetentionDays)
		a.Expired = expired.Valid || !a.Now.Before(a.end) || !a.version.Valid && belowFloor(p.Day, floor.Int64, at)
	}
	p.access = a
	return nil
}
