package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// States of an hour, as it is served.
const (
	StatePending   = "pending"
	StateAvailable = "available"
	StateNoData    = "no_data"
	StateFailed    = "failed"
	StateExpired   = "expired"
)

// DayView is one snapshot of a day, always with 24 hours.
type DayView struct {
	DayKey
	Now           time.Time // the catalog's clock
	Known         bool      // the day has a row
	Planned       time.Time // zero while not planned
	Completed     time.Time // the first time at which no hour was pending; zero before
	Reopened      time.Time
	Expired       bool // past retention: marked, or by the clock
	RetentionEnd  time.Time
	RetentionDays int
	Sessions      int64
	Files         int64
	Bytes         int64
	TooLate       int64 // recordings registered after expiry
	CutShort      bool  // it ended with hours that were not complete
	Unbuilt       int   // hours that had recordings in no archive when it ended
	Hours         [24]HourView
}

// ServedHour is what an hour serves.
type ServedHour struct {
	Hour       int
	State      string
	Revision   int64
	Rebuilding bool // an archive is served and a newer revision is wanted
	Archive    *ArchiveView
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
}

// ArchiveView is the archive that an hour serves.
type ArchiveView struct {
	ObjectKey      string
	Token          string
	Revision       int64
	Size           int64
	Files          int
	Sessions       int
	MissingCount   int
	ManifestSHA256 string
	ETag           string
	Published      time.Time
}

// cutShortSQL is true for an ended day that was never complete, or that has recordings in no
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
	var expired bool
	var floor time.Time
	err := tx.QueryRowContext(ctx, daySQL, tenant, day).
		Scan(&v.RetentionDays, db.Time(&v.Planned), db.Time(&v.Completed), db.Time(&v.Reopened), &expired, db.OrZero(&v.Sessions),
			db.OrZero(&v.Files), db.OrZero(&v.Bytes), db.OrZero(&v.TooLate), &v.CutShort, &v.Unbuilt, &v.Known, db.Time(&floor), db.Time(&v.Now))
	if err != nil {
		return v, db.NotFound(err, "tenant %q does not exist", tenant)
	}
	v.RetentionEnd = domain.RetentionEnd(day, v.Completed, v.Reopened, v.RetentionDays)
	v.Expired = expired || !v.Now.Before(v.RetentionEnd) || !v.Known && belowFloor(day, floor, v.Now)
	hours, err := db.Collect(ctx, tx, scanHour, dayHoursSQL, tenant, day)
	if err != nil {
		return v, err
	}
	for _, h := range hours {
		v.Hours[h.Hour] = h
	}
	return v, nil
}

const daySQL = `SELECT t.retention_days, d.planned_us, d.completed_us, d.reopened_us, d.expired_us IS NOT NULL,
	d.total_sessions, d.total_files, d.total_bytes, d.too_late,
	d.expired_us IS NOT NULL AND coalesce(` + cutShortSQL + `, FALSE), coalesce(d.unbuilt, 0), d.day IS NOT NULL, t.floor_us, (SELECT now_us FROM catalog_clock)
	FROM tenants t LEFT JOIN days d ON d.tenant = t.id AND d.day = $2 WHERE t.id = $1`

const dayHoursSQL = `SELECT ` + servedColumns + `, h.planned, h.due_us, h.worker, h.claimed_us, h.token IS NOT NULL,
	h.failures, h.lapses, h.last_error, h.last_kind, h.failed_us` + hoursOfDay

func scanHour(rows *sql.Rows) (h HourView, err error) {
	var held bool
	h.ServedHour, err = scanServed(rows, &h.Planned, db.Time(&h.Due), db.OrZero(&h.Worker), db.Time(&h.Claimed), &held,
		&h.Failures, &h.Lapses, db.OrZero(&h.LastError), db.OrZero(&h.LastKind), db.Time(&h.FailedAt))
	if !held {
		h.Worker, h.Claimed = "", time.Time{}
	}
	return h, err
}

const (
	servedColumns = `h.hour, h.state, h.revision, h.wanted <> h.built, a.object_key, a.token, a.revision, a.size,
	a.file_count, a.session_count, a.missing_count, a.manifest_sha256, a.etag, a.published_us`
	hoursOfDay = ` FROM hours h LEFT JOIN archives a ON a.object_key = h.archive WHERE h.tenant = $1 AND h.day = $2`
)

// scanServed scans servedColumns, and the columns after them into more.
func scanServed(rows *sql.Rows, more ...any) (h ServedHour, err error) {
	var a ArchiveView
	err = rows.Scan(append([]any{&h.Hour, &h.State, &h.Revision, &h.Rebuilding, db.OrZero(&a.ObjectKey), db.OrZero(&a.Token), db.OrZero(&a.Revision), db.OrZero(&a.Size),
		db.OrZero(&a.Files), db.OrZero(&a.Sessions), db.OrZero(&a.MissingCount), db.OrZero(&a.ManifestSHA256), db.OrZero(&a.ETag), db.Time(&a.Published)}, more...)...)
	if a.ObjectKey == "" {
		h.Rebuilding = false
	} else {
		h.Archive = &a
	}
	return h, err
}

// Unfinished says how many of a day's hours (all, or one where hour >= 0) are pending or being
// rebuilt, and how many failed.
func (v DayView) Unfinished(hour int) (waiting, failed int) {
	for _, h := range v.Hours {
		if hour >= 0 && h.Hour != hour {
			continue
		}
		switch {
		case h.State == StatePending || h.Rebuilding:
			waiting++
		case h.State == StateFailed:
			failed++
		}
	}
	return waiting, failed
}
