package catalog

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Backlog is what waits or needs somebody, of all tenants, in numbers. The cost of reading it grows
// with the number of tenants and with the open work, not with recordings or finished days.
type Backlog struct {
	Now       time.Time // the catalog's clock
	Tenants   int64     // with the recordings feature that had a yesterday: older than it, or with recordings of it
	Yesterday DaysBacklog
	Other     DaysBacklog // days within retention beside yesterday: only Pending, Failed and Incomplete

	Due         int64     // hours that are due and that no worker holds
	OldestDue   time.Time // when the first of them became due; zero if none
	Building    int64     // hours that a worker holds
	OldestBuild time.Time // when the longest running build began; zero if none

	MissingHours int64 // hours whose served archive lacks files
	MissingFiles int64 // those files
	LocksShort   int64 // archives whose lock in the store ends before their retention
	CutShort     int64 // days that ended within the last week and were cut short

	// Days that are over, or ended or got a total within the last week, by how they compare with
	// their totals.
	ShortWaiting int64 // fewer recordings, and the tenant was not told yet, for two days at most
	Short        int64 // fewer recordings, all others
	Surplus      int64 // more recordings

	Erasures      int64     // that are not proven yet
	OldestErasure time.Time // when the first of them was asked; zero if none

	Faults  int64         // recordings and archives that the patrol found gone, changed or unreadable
	Patrols []PatrolRound // of the kinds that were read

	Webhooks outbox.Backlog
	Log      merkle.Backlog
}

// DaysBacklog counts hours by state, and days.
type DaysBacklog struct {
	Available  int64 // hours
	NoData     int64
	Pending    int64
	Failed     int64
	Planned    int64 // days
	Incomplete int64 // days that have something and are not planned, or have pending or failed hours
}

// cutShortSpan is how long a day that was cut short is counted.
const cutShortSpan = 7 * 24 * time.Hour

// Backlog reads all numbers in one snapshot.
func (c *Catalog) Backlog(ctx context.Context) (Backlog, error) {
	var s Backlog
	err := c.db.View(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		s = Backlog{Now: db.FromMicros(at)}
		today := domain.DayOf(s.Now)
		yesterday := today.Add(-1)
		y, o := &s.Yesterday, &s.Other
		var unplanned int64
		for _, q := range []struct {
			query string
			args  []any
			into  []any
		}{
			{backlogNightSQL, []any{yesterday, db.Micros(yesterday.End())},
				[]any{&s.Tenants, &y.Planned, &y.Incomplete, &y.Available, &y.NoData, &y.Pending, &y.Failed}},
			{backlogUnfinishedSQL, []any{yesterday}, []any{&o.Incomplete, &o.Pending, &o.Failed}},
			{backlogUnplannedSQL, []any{yesterday}, []any{&unplanned}},
			{backlogMissingSQL, nil, []any{&s.MissingHours, &s.MissingFiles}},
			{backlogErasuresSQL, nil, []any{&s.Erasures, db.Time(&s.OldestErasure)}},
			{backlogLocksSQL, nil, []any{&s.LocksShort}},
			{backlogCutShortSQL, []any{at - cutShortSpan.Microseconds()}, []any{&s.CutShort}},
			{backlogTotalsSQL, []any{at, at - cutShortSpan.Microseconds(), at - maxWaiting.Microseconds(), at - lateTotals.Microseconds()}, []any{&s.ShortWaiting, &s.Short, &s.Surplus}},
			{`SELECT count(*) FROM faults`, nil, []any{&s.Faults}},
			{nextDueSQL, nil, []any{&s.Due, db.Time(&s.OldestDue)}},
			{backlogBuildsSQL, nil, []any{&s.Building, db.Time(&s.OldestBuild)}},
		} {
			if err := tx.QueryRowContext(ctx, q.query, q.args...).Scan(q.into...); err != nil {
				return err
			}
		}
		o.Incomplete += unplanned
		if s.Due == 0 {
			s.OldestDue = time.Time{}
		}
		if !c.rules.LockArchives {
			s.LocksShort = 0
		}
		if s.Patrols, err = patrolRounds(ctx, tx); err != nil {
			return err
		}
		if s.Webhooks, err = outbox.ReadBacklog(ctx, tx, at); err != nil {
			return err
		}
		s.Log, err = merkle.ReadBacklog(ctx, tx)
		return err
	})
	return s, err
}

// backlogNightSQL reads one row per tenant. A tenant without a row for the day is not incomplete,
// because nothing of it waits.
const backlogNightSQL = `SELECT count(*), count(d.planned_us),
	count(*) FILTER (WHERE d.day IS NOT NULL AND (d.planned_us IS NULL OR d.n_available + d.n_no_data < 24)),
	coalesce(sum(d.n_available), 0), coalesce(sum(d.n_no_data), 0), coalesce(sum(d.n_pending), 0), coalesce(sum(d.n_failed), 0)
	FROM tenants t LEFT JOIN days d ON d.tenant = t.id AND d.day = $1
	WHERE t.recordings AND (t.created_us < $2 OR d.day IS NOT NULL)`

// backlogUnfinishedSQL skips the pending hours of days that have no plan yet. It compares the day
// twice, because SQLite uses the index days_unsettled for a range only.
const backlogUnfinishedSQL = `SELECT count(*) FILTER (WHERE planned_us IS NOT NULL),
	coalesce(sum(n_pending) FILTER (WHERE planned_us IS NOT NULL), 0), coalesce(sum(n_failed), 0)
	FROM days WHERE (n_pending > 0 OR n_failed > 0) AND expired_us IS NULL AND day > '' AND day <> $1`

const backlogUnplannedSQL = `SELECT count(*) FROM days d JOIN tenants t ON t.id = d.tenant
	WHERE d.planned_us IS NULL AND d.expired_us IS NULL AND d.day < $1 AND t.recordings`

const backlogMissingSQL = `SELECT count(*), coalesce(sum(missing_count), 0) FROM archives WHERE state = 'published' AND missing_count > 0`

const backlogErasuresSQL = `SELECT count(*), min(asked_us) FROM erasures e JOIN tenants t ON t.id = e.tenant WHERE e.proven_us IS NULL`

const backlogCutShortSQL = `SELECT count(*) FROM days d JOIN tenants t ON t.id = d.tenant
	WHERE d.expired_us IS NOT NULL AND ` + cutShortSQL + ` AND d.expired_us > $1 AND t.recordings`

// maxWaiting is how long a day waits for its totals before it counts as short, whatever it waits
// for: longer than any grace. It is for days that are never planned or can't be built again, since
// no day.short is sent of these.
const maxWaiting = 48 * time.Hour

// lateTotals is how long after a day's end its totals may come and still count. Some platforms send
// a list of calls once a month.
const lateTotals = 100 * 24 * time.Hour

// backlogTotalsSQL counts at $1, for ends since $2, with $3 = $1 - maxWaiting and $4 = $1 -
// lateTotals. It compares the end twice, because both databases use the index days_off_totals for
// one of the conditions at a time. A day that is not over may still get what it is short of. A day
// that has ended counts for a while from its end, or from its last total; one that was not planned
// and had no recordings does not.
const backlogTotalsSQL = `SELECT coalesce(sum(waiting), 0), coalesce(sum(short), 0), coalesce(sum(surplus), 0) FROM (
	SELECT count(*) FILTER (WHERE short_by > 0 AND NOT overdue) AS waiting, count(*) FILTER (WHERE short_by > 0 AND overdue) AS short, count(*) FILTER (WHERE surplus > 0) AS surplus
		FROM (SELECT short_by, surplus, told_short_us IS NOT NULL OR closes_us <= $3
				AND NOT EXISTS (SELECT 1 FROM totals t WHERE t.tenant = d.tenant AND t.day = d.day AND t.set_us > $3) AS overdue
			FROM days d WHERE (short_by > 0 OR surplus > 0) AND expired_us IS NULL AND closes_us <= $1) open_days
	UNION ALL SELECT 0, count(*) FILTER (WHERE short_by > 0), count(*) FILTER (WHERE surplus > 0)
		FROM days d WHERE (short_by > 0 OR surplus > 0) AND expired_us BETWEEN $4 AND $1 AND (planned_us IS NOT NULL OR unbuilt > 0)
			AND (expired_us > $2 OR EXISTS (SELECT 1 FROM totals t WHERE t.tenant = d.tenant AND t.day = d.day AND t.set_us > $2))) x`

const backlogBuildsSQL = `SELECT count(*), min(claimed_us) FROM hours WHERE lease_us > 0`
