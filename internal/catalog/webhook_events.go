package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// event is what is sent to a tenant's endpoints. It is inserted in the transaction of its cause. So
// no event is lost, and none is sent for a change that was rolled back.
type event struct {
	Type string `json:"type"`
	Time string `json:"timestamp"`
	Data any    `json:"data"`
}

// dayEvent is the data of day.completed and day.failed. The names are those of the API's answer for
// a day.
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
}

// hourEvent is the data of hour.rebuilt.
type hourEvent struct {
	Tenant         string     `json:"tenant"`
	Day            domain.Day `json:"utcDay"`
	Hour           string     `json:"hour"`
	Revision       int64      `json:"revision"`
	Sessions       int        `json:"sessionCount"`
	Files          int        `json:"fileCount"`
	Size           int64      `json:"sizeBytes"`
	Missing        int        `json:"missingFileCount"`
	ManifestSHA256 string     `json:"manifestSha256"`
}

// testEvent is the data of webhook.test.
type testEvent struct {
	Tenant string `json:"tenant"`
}

// eventTime formats a time as all answers of the API do.
func eventTime(us int64) string { return db.FromMicros(us).Format("2006-01-02T15:04:05Z") }

// eventID derives an event's id from its cause. The id has no ".", because the signed text uses it
// as a separator.
func eventID(cause ...any) string {
	h := sha256.New()
	for _, part := range cause {
		_, _ = fmt.Fprintf(h, "%v\x00", part) // a hash never fails
	}
	return "evt_" + hex.EncodeToString(h.Sum(nil)[:16])
}

const subscribersSQL = `SELECT id, events FROM webhook_endpoints WHERE tenant = $1 AND disabled_us IS NULL ORDER BY id`

// subscribers gives the tenant's enabled endpoints that want a type of event. Most tenants have
// none, which is one index look-up.
func subscribers(ctx context.Context, tx *db.Tx, tenant, eventType string) ([]string, error) {
	type row struct{ id, events string }
	rows, err := db.Collect(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.events)
		return r, err
	}, subscribersSQL, tenant)
	var ids []string
	for _, r := range rows {
		if slices.Contains(strings.Fields(r.events), eventType) {
			ids = append(ids, r.id)
		}
	}
	return ids, err
}

// addEvent inserts an event and its deliveries, unless the event exists already.
func addEvent(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, id string, endpoints []string, e event, at int64) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	fresh, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO webhook_events (id, tenant, type, payload, created_us) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO NOTHING`, id, tenant, e.Type, string(payload), at))
	if err != nil || !fresh {
		return err
	}
	for _, endpoint := range endpoints {
		if _, err := tx.ExecContext(ctx, `INSERT INTO webhook_deliveries (id, event, endpoint, tenant, type, day, state, next_us, created_us)
			VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $7)`, "whd_"+newToken(), id, endpoint, tenant, e.Type, db.OrNull(string(day)), at); err != nil {
			return err
		}
	}
	return nil
}

// dayCounts is a locked day's state after a refresh.
type dayCounts struct {
	locked                              int64 // the day's version, which every change raises
	planned, completed, whole, reopened sql.NullInt64
	available, noData, pending, failed  int
	failedTold                          int // how many failed hours were announced
}

// announceDay adds the event that a day is complete, once for each time that the day was opened. It
// adds the event that hours of the day failed when no hour is pending any more and more hours
// failed than were announced.
func announceDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, s dayCounts, at int64) error {
	if !s.planned.Valid || s.pending > 0 {
		return nil
	}
	var eventType string
	var err error
	switch {
	case s.failed == 0 && !s.whole.Valid:
		eventType = domain.EventDayCompleted
		_, err = tx.ExecContext(ctx, `UPDATE days SET whole_us = $3 WHERE tenant = $1 AND day = $2`, tenant, day, at)
	case s.failed > s.failedTold:
		eventType = domain.EventDayFailed
		_, err = tx.ExecContext(ctx, `UPDATE days SET told_failed = n_failed WHERE tenant = $1 AND day = $2`, tenant, day)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	endpoints, err := subscribers(ctx, tx, tenant, eventType)
	if err != nil || len(endpoints) == 0 {
		return err
	}
	data, err := dayData(ctx, tx, tenant, day, s)
	if err != nil {
		return err
	}
	id := eventID(eventType, tenant, day, at, s.locked)
	return addEvent(ctx, tx, tenant, day, id, endpoints, event{Type: eventType, Time: eventTime(at), Data: data}, at)
}

// dayData reads the data of a day's event.
func dayData(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, s dayCounts) (dayEvent, error) {
	d := dayEvent{Tenant: tenant, Day: day, Available: s.available, NoData: s.noData, Generated: eventTime(s.completed.Int64)}
	err := tx.QueryRowContext(ctx, `SELECT d.total_sessions, d.total_files, d.total_bytes, t.retention_days FROM days d JOIN tenants t ON t.id = d.tenant
		WHERE d.tenant = $1 AND d.day = $2`, tenant, day).Scan(&d.TotalSessions, &d.TotalFiles, &d.TotalSizeBytes, &d.RetentionDays)
	if err != nil {
		return d, err
	}
	d.Expires = eventTime(db.Micros(domain.RetentionEnd(day, db.TimeOf(s.completed), db.TimeOf(s.reopened), d.RetentionDays)))
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

// announceHour adds the event that an hour has a new archive which its tenant cannot expect: a
// later revision, or a first revision after the day was completed. It must be called before the day
// is refreshed.
func announceHour(ctx context.Context, tx *db.Tx, b Claim, r BuildResult, at int64) error {
	endpoints, err := subscribers(ctx, tx, b.Tenant, domain.EventHourRebuilt)
	if err != nil || len(endpoints) == 0 {
		return err
	}
	if b.Revision < 2 {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM days WHERE tenant = $1 AND day = $2 AND completed_us IS NOT NULL`, b.Tenant, b.Day).Scan(&n)
		if err != nil || n == 0 {
			return err
		}
	}
	data := hourEvent{Tenant: b.Tenant, Day: b.Day, Hour: b.HH(), Revision: b.Revision, Sessions: len(r.Sessions), Files: r.Files,
		Size: r.Size, Missing: len(r.Missing), ManifestSHA256: r.ManifestSHA256}
	id := eventID(domain.EventHourRebuilt, b.ObjectKey())
	return addEvent(ctx, tx, b.Tenant, b.Day, id, endpoints, event{Type: domain.EventHourRebuilt, Time: eventTime(at), Data: data}, at)
}

// TestEndpoint adds a test event for one endpoint, and gives its delivery. Errors: KindNotFound,
// KindConflict for a disabled one.
func (c *Catalog) TestEndpoint(ctx context.Context, tenant, id string, o Origin) (delivery string, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		e, err := lockEndpoint(ctx, tx, id, ` AND tenant = $2`, tenant)
		if err != nil {
			return noEndpoint(err, tenant, id)
		}
		if !e.Disabled.IsZero() {
			return domain.Errorf(domain.KindConflict, "webhook %s is disabled; enable it first: callvault webhook set --tenant %s %s --enable", id, tenant, id)
		}
		at, err := now(ctx, tx)
		if err != nil {
			return err
		}
		told := event{Type: domain.EventTest, Time: eventTime(at), Data: testEvent{tenant}}
		evt := eventID(domain.EventTest, id, newToken())
		if err := addEvent(ctx, tx, tenant, "", evt, []string{id}, told, at); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT id FROM webhook_deliveries WHERE event = $1`, evt).Scan(&delivery); err != nil {
			return err
		}
		return e.audit(ctx, tx, o, ActionWebhookTest)
	})
	return delivery, err
}
