package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// dayEvent is the data of day.completed, day.failed and day.short. The names are those of the API's
// answer for a day.
type dayEvent struct {
	Tenant         string     `json:"tenant"`
	Day            domain.Day `json:"utcDay"`
	TotalSessions  int64      `json:"totalSessions"`
	TotalFiles     int64      `json:"totalFiles"`
	TotalSizeBytes int64      `json:"totalSizeBytes"`
	Generated      string     `json:"generatedAt"`
	RetentionDays  int        `json:"retentionDays"`
	Expires        string     `json:"expiresAt"`
	Available      int        `json:"availableHours"`
	NoData         int        `json:"noDataHours"`
	Failed         []string   `json:"failedHours,omitempty"`
	*shortEvent
}

// shortEvent is what day.short has in addition to the other events of a day.
type shortEvent struct {
	ShortBy int64        `json:"shortBy"` // recordings
	Short   []shortTotal `json:"short"`   // the totals that are not met
}

type shortTotal struct {
	Hour       string `json:"hour,omitempty"` // "" for the day's
	Total      int64  `json:"total"`
	Registered int64  `json:"registered"`
}

// dayState is a locked day's state after a refresh.
type dayState struct {
	locked                             int64 // the day's version, which every change raises
	planned, whole                     bool
	settled, reopened                  time.Time
	available, noData, pending, failed int
	failedAnnounced                    int // how many failed hours were announced

	totals         int   // the rest is 0 for a day without totals
	short, surplus int64 // recordings that are fewer and more than the totals
	rebuilding     int   // available hours of which a newer revision is wanted
	shortAnnounced bool  // since it was last complete
}

// complete says whether nothing keeps a day from being announced as complete. A day with totals
// waits for newer revisions too, because what it was short of may be in them.
func (s dayState) complete() bool {
	return s.planned && s.pending == 0 && s.failed == 0 && s.short == 0 && s.rebuilding == 0
}

// announceDay adds the events of a day. day.completed comes once for each time that the day was
// opened, and again after the day was announced as short of its totals. day.failed comes when no
// hour is pending any more and more hours failed than were announced.
func announceDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, s dayState, at int64) error {
	if !s.planned || s.pending > 0 {
		return nil
	}
	var eventType string
	var err error
	switch {
	case s.complete() && (!s.whole || s.shortAnnounced):
		eventType = domain.EventDayCompleted
		_, err = tx.ExecContext(ctx, `UPDATE days SET whole_us = $3, told_short_us = NULL WHERE tenant = $1 AND day = $2`, tenant, day, at)
	case s.failed > s.failedAnnounced:
		eventType = domain.EventDayFailed
		_, err = tx.ExecContext(ctx, `UPDATE days SET told_failed = n_failed WHERE tenant = $1 AND day = $2`, tenant, day)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return addDayEvent(ctx, tx, tenant, day, eventType, s, nil, at)
}

// addDayEvent adds an event of a locked day for the endpoints that ask for it.
func addDayEvent(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, eventType string, s dayState, short *shortEvent, at int64) error {
	endpoints, err := outbox.Subscribers(ctx, tx, tenant, eventType)
	if err != nil || len(endpoints) == 0 {
		return err
	}
	data, err := dayData(ctx, tx, tenant, day, s)
	if err != nil {
		return err
	}
	data.shortEvent = short
	return outbox.Event{ID: outbox.EventID(eventType, tenant, day, at, s.locked), Tenant: tenant, Day: day, Type: eventType, At: at, Data: data}.Add(ctx, tx, endpoints)
}

// dayData reads the data of a day's event.
func dayData(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, s dayState) (dayEvent, error) {
	d := dayEvent{Tenant: tenant, Day: day, Available: s.available, NoData: s.noData, Generated: outbox.EventTime(db.Micros(s.settled))}
	err := tx.QueryRowContext(ctx, `SELECT d.total_sessions, d.total_files, d.total_bytes, t.retention_days FROM days d JOIN tenants t ON t.id = d.tenant
		WHERE d.tenant = $1 AND d.day = $2`, tenant, day).Scan(&d.TotalSessions, &d.TotalFiles, &d.TotalSizeBytes, &d.RetentionDays)
	if err != nil {
		return d, err
	}
	d.Expires = outbox.EventTime(db.Micros(domain.RetentionEnd(day, s.settled, s.reopened, d.RetentionDays)))
	if s.failed == 0 {
		return d, nil
	}
	d.Failed, err = db.Collect(ctx, tx, func(rows *sql.Rows) (string, error) {
		k := domain.HourKey{}
		err := rows.Scan(&k.Hour)
		return k.HH(), err
	}, `SELECT hour FROM hours WHERE tenant = $1 AND day = $2 AND state = 'failed' ORDER BY hour`, tenant, day)
	return d, err
}
