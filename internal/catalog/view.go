package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// DayCounts are a day's hours by state, and what its archives lack. They are all 0 until something
// is registered or planned.
type DayCounts struct {
	Available int
	NoData    int
	Pending   int
	Failed    int

	Missing    int // recordings that the served archives lack
	Rebuilding int // available hours of which a newer revision is wanted
	Lacking    int // available hours that are not complete: they lack recordings or are rebuilding
}

// Complete is how many of the 24 hours are complete: they have no data, or an archive with all that
// is registered.
func (d DayCounts) Complete() int { return d.Available - d.Lacking + d.NoData }

// DayView is one snapshot of a day, always with 24 hours.
type DayView struct {
	DayKey
	Now           time.Time // the catalog's clock
	Known         bool      // the day has a row
	Planned       time.Time // zero while not planned
	Settled       time.Time // the first time at which no hour was pending; zero before
	Reopened      time.Time
	Expired       bool // past retention: marked, or by the clock
	Ended         bool // marked as past retention
	RetentionEnd  time.Time
	RetentionDays int
	Sessions      int64
	Files         int64
	Bytes         int64
	TooLate       int64 // recordings registered after the day's end
	CutShort      bool  // it ended while hours were pending or failed, or had recordings in no archive
	Unbuilt       int   // hours that had recordings in no archive when it ended
	EndKnown      bool  // it is known what was missing, and what each hour was, when the day ended
	Totals        Totals
	Short         int64 // recordings that are fewer than the day's totals
	Surplus       int64 // recordings that are more than the day's totals
	Hours         [24]HourView

	atEnd DayCounts // of an ended day
}

// Counts are the day's hours by state, for an ended day as it was when it ended.
func (v DayView) Counts() DayCounts {
	if v.Ended {
		return v.atEnd
	}
	return v.CountsOf(-1)
}

// CountsOf are the present states of all hours, or of one where hour >= 0. Expired hours are not
// counted.
func (v DayView) CountsOf(hour int) (out DayCounts) {
	for _, h := range v.Hours {
		if hour >= 0 && h.Hour != hour {
			continue
		}
		switch h.State {
		case StateAvailable:
			out.Available++
		case StateNoData:
			out.NoData++
		case StatePending:
			out.Pending++
		case StateFailed:
			out.Failed++
		}
		if h.Archive != nil {
			out.Missing += h.Archive.MissingCount
			if h.Rebuilding || h.Archive.MissingCount > 0 {
				out.Lacking++
			}
		}
		if h.Rebuilding {
			out.Rebuilding++
		}
	}
	return out
}

// OffBy is by how many recordings the day is short of its totals, and by how many it has more; or
// one hour where hour >= 0.
func (v DayView) OffBy(hour int) (short, surplus int64) {
	if hour < 0 {
		return v.Short, v.Surplus
	}
	if total := v.Totals.Hours[hour]; total != nil {
		return max(*total-v.Totals.Registered[hour], 0), max(v.Totals.Registered[hour]-*total, 0)
	}
	return 0, 0
}

// HourEnd is what an hour was when its day ended.
type HourEnd struct {
	State   string // "" while the day has not ended, or where nothing was kept
	Files   int
	Missing int  // recordings that its archive lacked
	Unbuilt bool // it had recordings in no archive
	TooLate bool // recordings came after the end; not known of an unbuilt hour
}

// HourView is one hour of a DayView: what it serves, and how it is built. Times are zero where
// unknown.
type HourView struct {
	ServedHour
	Planned   bool
	Due       time.Time
	Worker    string // the worker that builds it now
	Claimed   time.Time
	Failures  int
	Lapses    int
	LastError string
	LastKind  string
	FailedAt  time.Time
	End       HourEnd
}

// cutShortSQL is true for an ended day that had pending or failed hours, or recordings in no
// archive. The index days_short holds such days.
const cutShortSQL = `(d.planned_us IS NULL OR d.n_pending > 0 OR d.n_failed > 0 OR d.unbuilt > 0)`

// Day reads a tenant's day. A day without a row has 24 pending hours. Error: KindNotFound for an
// unknown tenant.
func (c *Catalog) Day(ctx context.Context, tenant string, day domain.Day) (DayView, error) {
	var v DayView
	err := c.db.View(ctx, func(tx *db.Tx) (err error) {
		v, err = dayView(ctx, tx, tenant, day)
		return err
	})
	return v, err
}

func dayView(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (DayView, error) {
	v := DayView{DayKey: DayKey{tenant, day}}
	for i := range v.Hours {
		v.Hours[i].Hour, v.Hours[i].State = i, StatePending
	}
	var floor time.Time
	err := tx.QueryRowContext(ctx, daySQL, tenant, day).
		Scan(&v.RetentionDays, db.Time(&v.Planned), db.Time(&v.Settled), db.Time(&v.Reopened), &v.Ended, db.OrZero(&v.Sessions),
			db.OrZero(&v.Files), db.OrZero(&v.Bytes), db.OrZero(&v.TooLate), &v.CutShort, &v.Unbuilt, &v.Known, db.Time(&floor), db.Time(&v.Now),
			db.OrZero(&v.atEnd.Available), db.OrZero(&v.atEnd.NoData), db.OrZero(&v.atEnd.Pending), db.OrZero(&v.atEnd.Failed),
			&v.atEnd.Missing, &v.atEnd.Lacking, &v.EndKnown, db.OrZero(&v.Short), db.OrZero(&v.Surplus))
	if err != nil {
		return v, db.NotFound(err, "tenant %q does not exist", tenant)
	}
	v.RetentionEnd = domain.RetentionEnd(day, v.Settled, v.Reopened, v.RetentionDays)
	v.Expired = v.Ended || !v.Now.Before(v.RetentionEnd) || !v.Known && belowFloor(day, floor, v.Now)
	if v.Totals, err = readTotals(ctx, tx, tenant, day); err != nil {
		return v, err
	}
	hours, err := db.Collect(ctx, tx, scanHour, dayHoursSQL, tenant, day)
	if err != nil {
		return v, err
	}
	for _, h := range hours {
		v.Hours[h.Hour] = h
	}
	for i := range v.Hours {
		switch h := &v.Hours[i]; {
		case !v.EndKnown:
			h.End = HourEnd{}
		case h.End.State == "": // no row at the end: the day was not planned
			h.End.State = StatePending
		}
	}
	return v, nil
}

const daySQL = `SELECT t.retention_days, d.planned_us, d.completed_us, d.reopened_us, d.expired_us IS NOT NULL,
	d.total_sessions, d.total_files, d.total_bytes, d.too_late,
	d.expired_us IS NOT NULL AND coalesce(` + cutShortSQL + `, FALSE), coalesce(d.unbuilt, 0), d.day IS NOT NULL, t.floor_us, (SELECT now_us FROM catalog_clock),
	d.n_available, d.n_no_data, d.n_pending, d.n_failed, ` + endedColumns + `, d.short_by, d.surplus
	FROM tenants t LEFT JOIN days d ON d.tenant = t.id AND d.day = $2 WHERE t.id = $1`

// endedColumns are what an ended day d lacked, and whether that is known. It is not if ended_us is
// not expired_us: then a program ended the day that does not know these columns.
const endedColumns = `CASE WHEN d.ended_us = d.expired_us THEN coalesce(d.ended_missing, 0) ELSE 0 END,
	CASE WHEN d.ended_us = d.expired_us THEN coalesce(d.ended_lacking, 0) ELSE 0 END, coalesce(d.ended_us = d.expired_us, FALSE)`

const dayHoursSQL = `SELECT ` + servedColumns + `, h.planned, h.due_us, h.worker, h.claimed_us, h.token IS NOT NULL,
	h.failures, h.lapses, h.last_error, h.last_kind, h.failed_us,
	h.ended_state, h.ended_files, h.ended_missing, h.ended_unbuilt, h.wanted <> h.built AND NOT coalesce(h.ended_unbuilt, FALSE)` + hoursOfDay

func scanHour(rows *sql.Rows) (h HourView, err error) {
	var held bool
	h.ServedHour, err = scanServed(rows, &h.Planned, db.Time(&h.Due), db.OrZero(&h.Worker), db.Time(&h.Claimed), &held,
		&h.Failures, &h.Lapses, db.OrZero(&h.LastError), db.OrZero(&h.LastKind), db.Time(&h.FailedAt),
		db.OrZero(&h.End.State), db.OrZero(&h.End.Files), db.OrZero(&h.End.Missing), db.OrZero(&h.End.Unbuilt), db.OrZero(&h.End.TooLate))
	if !held {
		h.Worker, h.Claimed = "", time.Time{}
	}
	return h, err
}

// Unfinished says how many of a day's hours (all, or one where hour >= 0) are pending or being
// rebuilt, and how many failed.
func (v DayView) Unfinished(hour int) (waiting, failed int) {
	n := v.CountsOf(hour)
	return n.Pending + n.Rebuilding, n.Failed
}
