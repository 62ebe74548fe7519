package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// BuildResult is what a finished build reports.
type BuildResult struct {
	Wanted         int64 // as in BuildInput
	Size           int64
	Files          int
	Sessions       []domain.Session
	Missing        []MissingFile
	ManifestSHA256 string
	ETag           string
	VersionID      string    // of the object; "" where the bucket keeps no versions
	LockedUntil    time.Time // as the store says; zero while it does not lock the object
	Took           time.Duration
}

// Commit publishes a build in one transaction, if the claim is still valid and the day is within
// retention. Errors: KindLost when nothing was published; KindUnavailable when that is unknown:
// then ask Published.
func (c *Catalog) Commit(ctx context.Context, b Claim, r BuildResult) error {
	if err := c.saveSessions(ctx, b, r.Sessions); err != nil {
		return err
	}
	missing, err := json.Marshal(append([]MissingFile{}, r.Missing...))
	if err != nil {
		return err
	}
	return c.withOpenClaim(ctx, b, func(tx *db.Tx, d lockedDay) error {
		at, delay := d.at, c.rebuildDelay(r.Took.Microseconds())
		ok, err := db.Affected(tx.ExecContext(ctx, `UPDATE archives SET state = 'published', published_us = $2, checked_us = $2, size = $3, file_count = $4,
			session_count = $5, missing = $6, missing_count = $7, manifest_sha256 = $8, etag = $9, version_id = $10, locked_until_us = $11, upload_id = NULL
			WHERE object_key = $1 AND state = 'writing'`, b.ObjectKey(), at, r.Size, r.Files, len(r.Sessions), string(missing),
			len(r.Missing), r.ManifestSHA256, r.ETag, db.OrNull(r.VersionID), orNull(r.LockedUntil)))
		if err != nil {
			return err
		}
		if !ok {
			return lostUnless(false, nil)
		}
		if err := c.supersede(ctx, tx, b.HourKey, at); err != nil {
			return err
		}
		var recheck any
		if len(r.Missing) > 0 {
			recheck = c.nextRecheck(d, r.Missing, 0, r.Took.Microseconds())
		}
		if _, err = tx.ExecContext(ctx, `UPDATE hours SET state = 'available', revision = $4, archive = $5, built = $6, token = NULL, lease_us = NULL,
			failures = 0, lapses = 0, last_error = NULL, last_kind = NULL, failed_us = NULL, build_us = $7, dispatched_us = NULL,
			due_us = CASE WHEN wanted = $6 THEN NULL ELSE CAST($8 AS BIGINT) END, recheck_us = $9, recheck_step = 0
			WHERE tenant = $1 AND day = $2 AND hour = $3`,
			b.Tenant, b.Day, b.Hour, b.Revision, b.ObjectKey(), r.Wanted, r.Took.Microseconds(), d.dueAfter(delay, 0, delay), recheck); err != nil {
			return err
		}
		if err := saveFailedFiles(ctx, tx, b.HourKey, nil); err != nil {
			return err
		}
		if err := auditMissing(ctx, tx, at, b.HourKey, r.Missing); err != nil {
			return err
		}
		if err := auditPublish(ctx, tx, b, r, at); err != nil {
			return err
		}
		if err := announceHour(ctx, tx, b, r, at); err != nil {
			return err
		}
		return refreshServed(ctx, tx, b.Tenant, b.Day, at)
	})
}

// supersede marks the served archive of a locked hour as superseded. The sweeper looks again at
// former revisions that a hold protects, because a newer one may stand for them now.
func (c *Catalog) supersede(ctx context.Context, tx *db.Tx, key domain.HourKey, at int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE archives SET state = 'superseded',
		delete_after_us = CASE WHEN links_until_us > $4 THEN links_until_us ELSE $4 END + $5
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND (state = 'superseded' AND delete_after_us IS NULL
			OR state = 'published' AND object_key = (SELECT archive FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3))`,
		key.Tenant, key.Day, key.Hour, at, c.rules.Grace.Microseconds())
	return err
}

// saveSessions writes the archive's sessions before the archive is published.
func (c *Catalog) saveSessions(ctx context.Context, b Claim, sessions []domain.Session) error {
	for chunk := range slices.Chunk(sessions, 500) {
		args := make([]any, 0, 2*len(chunk))
		for _, s := range chunk {
			args = append(args, b.ObjectKey(), sessionName(s))
		}
		err := c.db.Update(ctx, func(tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO archive_sessions (object_key, session_id) VALUES `+db.ParameterRows(len(chunk), 2)+
				` ON CONFLICT DO NOTHING`, args...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sessionName gives each session of a day a unique name.
func sessionName(s domain.Session) string {
	return fmt.Sprintf("%d:%s%s", len(s.ExternalConversationID), s.ExternalConversationID, s.SessionID)
}

// Published says whether this claim's archive was committed. Call it after any error of Commit
// except KindLost. It waits for the day's lock, which a Commit whose answer was lost may still
// have. So false means that the commit failed, and that it can be repeated only while the claim is
// valid.
func (c *Catalog) Published(ctx context.Context, b Claim) (bool, error) {
	var n int
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		if _, err := lockDay(ctx, tx, b.Tenant, b.Day); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM archives WHERE object_key = $1 AND published_us IS NOT NULL`,
			b.ObjectKey()).Scan(&n)
	})
	return n > 0, err
}

// CommitEmpty ends a build that found no recording: the hour has no data. An archive that the hour
// served until now has recordings that corrections moved to other hours, or that were erased. It is
// retired, as a revision of its own.
func (c *Catalog) CommitEmpty(ctx context.Context, b Claim, wanted int64) error {
	return c.withOpenClaim(ctx, b, func(tx *db.Tx, d lockedDay) error {
		at, delay := d.at, c.rebuildDelay(0)
		if err := doomWriting(ctx, tx, b.HourKey, at); err != nil {
			return err
		}
		var served, newer bool
		if err := tx.QueryRowContext(ctx, `SELECT archive IS NOT NULL OR EXISTS (SELECT 1 FROM archives a
				WHERE a.tenant = $1 AND a.day = $2 AND a.hour = $3 AND a.state = 'hidden'), wanted <> $4 FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3`,
			b.Tenant, b.Day, b.Hour, wanted).Scan(&served, &newer); err != nil {
			return err
		}
		if served && !newer {
			if err := c.retire(ctx, tx, b, at); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE hours SET state = CASE WHEN archive IS NOT NULL THEN 'available'
				WHEN wanted = $4 THEN 'no_data' ELSE 'pending' END,
			built = $4, due_us = CASE WHEN wanted = $4 THEN NULL ELSE CAST($5 AS BIGINT) END, token = NULL, lease_us = NULL, dispatched_us = NULL,
			failures = 0, lapses = 0, last_error = NULL, last_kind = NULL, failed_us = NULL
			WHERE tenant = $1 AND day = $2 AND hour = $3`, b.Tenant, b.Day, b.Hour, wanted, d.dueAfter(delay, 0, delay)); err != nil {
			return err
		}
		if err := saveFailedFiles(ctx, tx, b.HourKey, nil); err != nil {
			return err
		}
		return refreshServed(ctx, tx, b.Tenant, b.Day, at)
	})
}

// retire ends the served archive of a locked hour that has no recordings any more.
func (c *Catalog) retire(ctx context.Context, tx *db.Tx, b Claim, at int64) error {
	if err := c.supersede(ctx, tx, b.HourKey, at); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE hours SET archive = NULL, revision = $4, recheck_us = NULL WHERE tenant = $1 AND day = $2 AND hour = $3`,
		b.Tenant, b.Day, b.Hour, b.Revision); err != nil {
		return err
	}
	return announceHour(ctx, tx, b, BuildResult{}, at)
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

// announceHour adds the event that an hour has a new archive which its tenant cannot expect: a
// later revision, or a first revision after the day was settled. It must be called before the day
// is refreshed.
func announceHour(ctx context.Context, tx *db.Tx, b Claim, r BuildResult, at int64) error {
	endpoints, err := outbox.Subscribers(ctx, tx, b.Tenant, domain.EventHourRebuilt)
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
	return outbox.Event{ID: outbox.EventID(domain.EventHourRebuilt, b.ObjectKey()), Tenant: b.Tenant, Day: b.Day, Type: domain.EventHourRebuilt, At: at, Data: data}.
		Add(ctx, tx, endpoints)
}
