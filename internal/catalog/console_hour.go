package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// HourHistory is all that the catalog knows of one hour's builds.
type HourHistory struct {
	Wanted     int64 // registrations so far
	Built      int64 // registrations that the last archive has; -1 after a reopening
	Dispatch   int64 // how often it was dispatched
	Dispatched time.Time
	Lease      time.Time // end of the present claim's lease
	Recheck    time.Time // when missing files are looked for again; zero for never
	Took       time.Duration
	Archives   []HourArchive // newest first; without those deleted more than a day ago
	Missing    []MissingFile // of the served archive, or of the last build
	Failed     bool          // Missing is of the last build, which failed because every file was missing
}

// HourArchive is one archive of an hour: finished, unfinished or replaced.
type HourArchive struct {
	Revision  int64
	State     string // writing, published, hidden, superseded, retained, doomed or deleting
	Deleted   bool   // its bytes are gone
	Size      int64
	Files     int
	Missing   int
	Started   time.Time
	Published time.Time // zero if it was not published
	LinksEnd  time.Time // end of its latest link
	DeleteAt  time.Time
	Locked    time.Time // until when the store locks its object; zero if it does not
}

const hourHistorySQL = `SELECT wanted, built, dispatch, dispatched_us, lease_us, recheck_us, build_us, archive
	FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3`

const hourArchivesSQL = `SELECT object_key, revision, state, size, file_count, missing_count, missing, created_us, published_us, nullif(links_until_us, 0),
	delete_after_us, deletions > 0, locked_until_us FROM archives WHERE tenant = $1 AND day = $2 AND hour = $3 ORDER BY created_us DESC, object_key DESC LIMIT 100`

// HourHistory reads one hour's history. It is empty for an hour without a row.
func (c *Catalog) HourHistory(ctx context.Context, key domain.HourKey) (HourHistory, error) {
	var s HourHistory
	err := c.db.View(ctx, func(tx *db.Tx) error {
		s = HourHistory{}
		var took int64
		var served string
		err := tx.QueryRowContext(ctx, hourHistorySQL, key.Tenant, key.Day, key.Hour).
			Scan(&s.Wanted, &s.Built, &s.Dispatch, db.Time(&s.Dispatched), db.Time(&s.Lease), db.Time(&s.Recheck), &took, db.OrZero(&served))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		s.Took = time.Duration(took) * time.Microsecond
		s.Archives, err = db.Collect(ctx, tx, func(rows *sql.Rows) (a HourArchive, err error) {
			var object, missing string
			err = rows.Scan(&object, &a.Revision, &a.State, &a.Size, &a.Files, &a.Missing, &missing, db.Time(&a.Started), db.Time(&a.Published),
				db.Time(&a.LinksEnd), db.Time(&a.DeleteAt), &a.Deleted, db.Time(&a.Locked))
			if err == nil && object == served {
				err = json.Unmarshal([]byte(missing), &s.Missing)
			}
			return a, err
		}, hourArchivesSQL, key.Tenant, key.Day, key.Hour)
		if err != nil {
			return err
		}
		failed, err := failedFiles(ctx, tx, key)
		if len(failed) > 0 {
			s.Missing, s.Failed = failed, true
		}
		return err
	})
	return s, err
}

// DayDownloads counts the downloads of each hour of a day, from the audit log.
func (c *Catalog) DayDownloads(ctx context.Context, tenant string, day domain.Day) (counts [24]int, err error) {
	// This is how downloadDetail begins.
	prefix := `{"day":"` + string(day) + `","hour":"`
	err = db.Each(ctx, c.db, func(rows *sql.Rows) error {
		var hour string
		var n int
		err := rows.Scan(&hour, &n)
		if h, wrong := strconv.Atoi(hour); err == nil && wrong == nil && h >= 0 && h < len(counts) {
			counts[h] = n
		}
		return err
	}, downloadsSQL, tenant, db.Micros(day.Start()), ActionDownload, prefix+"%", len(prefix)+1)
	return counts, err
}

const downloadsSQL = `SELECT hour, count(*) FROM (SELECT substr(detail, CAST($5 AS INTEGER), 2) AS hour FROM audit
	WHERE tenant = $1 AND at_us >= $2 AND action = $3 AND detail LIKE $4) x GROUP BY hour`

// latestAuditRead bounds how many lines of a tenant are searched for those of one day.
const latestAuditRead = 5000

const latestAuditSQL = `SELECT x.seq, x.at_us, x.tenant, x.actor, x.action, x.detail, l.links FROM (
		SELECT seq, at_us, tenant, actor, action, detail, links FROM audit
		WHERE tenant = $1 AND at_us >= $2 ORDER BY at_us DESC, seq DESC LIMIT $3) x LEFT JOIN audit_links l ON l.sum = x.links
	WHERE x.detail LIKE $4 ORDER BY x.at_us DESC, x.seq DESC LIMIT $5`

// LatestAudit gives a tenant's latest lines of the audit log, newest first: at most limit. It gives
// all lines, those about a day, or those about one hour of a day (hour >= 0). For a day it searches
// the last 5,000 lines.
func (c *Catalog) LatestAudit(ctx context.Context, tenant string, day domain.Day, hour, limit int) ([]audit.Entry, error) {
	since, like, read := int64(0), "%", limit
	if day != "" {
		since, like = db.Micros(day.Start()), `%"day":"`+string(day)+`"%`
	}
	if hour >= 0 {
		read = latestAuditRead
	}
	all, err := db.Collect(ctx, c.db, audit.Scan, latestAuditSQL, tenant, since, latestAuditRead, like, read)
	if err != nil || hour < 0 {
		return all, err
	}
	var about []audit.Entry
	for _, e := range all {
		if len(about) < limit && aboutHour(e.Detail, day, hour) {
			about = append(about, e)
		}
	}
	return about, nil
}

// aboutHour says whether a line about a day is about the hour too: it names the hour, or no hour at
// all.
func aboutHour(detail json.RawMessage, day domain.Day, hour int) bool {
	var d struct {
		Hour  string          `json:"hour"`
		Links []issuedLink    `json:"links"`
		Hours []CorrectedHour `json:"hours"`
	}
	if json.Unmarshal(detail, &d) != nil {
		return false
	}
	hh := domain.HourKey{Hour: hour}.HH()
	if d.Hour != "" {
		return d.Hour == hh
	}
	if d.Hours != nil {
		return slices.Contains(d.Hours, CorrectedHour{day, hh})
	}
	return d.Links == nil || slices.ContainsFunc(d.Links, func(l issuedLink) bool { return l.Hour == hh })
}
