package catalog

import (
	"context"
	"encoding/json"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ActionReopen is the audit log's action of a day that got another retention period.
const ActionReopen = "day.reopen"

// FormerEnd is what a day was when it had ended, before it was reopened. Only the audit log keeps
// it.
type FormerEnd struct {
	CutShort bool  `json:"cutShort,omitempty"`
	Unbuilt  int   `json:"unbuiltHours,omitempty"`
	Missing  int   `json:"missingFileCount,omitempty"`
	TooLate  int64 `json:"tooLate,omitempty"`
	Short    int64 `json:"shortBy,omitempty"`
}

type reopenDetail struct {
	Day domain.Day `json:"day"`
	FormerEnd
	audit.Origin
}

// FormerEnd reads what a day was that was reopened at a time; zero where nothing is known of it.
func (c *Catalog) FormerEnd(ctx context.Context, tenant string, day domain.Day, reopened time.Time) (FormerEnd, error) {
	lines, err := db.Collect(ctx, c.db, db.Value[string], `SELECT detail FROM audit WHERE tenant = $1 AND at_us = $2 AND action = $3`,
		tenant, db.Micros(reopened), ActionReopen)
	if err != nil {
		return FormerEnd{}, err
	}
	for _, line := range lines {
		var d reopenDetail
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			return FormerEnd{}, err
		}
		if d.Day == day {
			return d.FormerEnd, nil
		}
	}
	return FormerEnd{}, nil
}

// Reopen gives a day another retention period, from now on. Archives that a hold retained are
// served again. Other expired hours that have recordings are built again. Errors: KindNotFound
// (tenant), KindInvalid (the day is not over).
func (c *Catalog) Reopen(ctx context.Context, tenant string, day domain.Day, o audit.Origin) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.Exclude(ctx, tx, tenant); err != nil { // a conversation must not end by the day's end meanwhile
			return err
		}
		if _, err := lockDay(ctx, tx, tenant, day); err != nil {
			return err
		}
		v, err := dayView(ctx, tx, tenant, day)
		if err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if at < db.Micros(day.End()) { // its retention would become shorter
			return domain.Errorf(domain.KindInvalid, "%s is not over yet; there is nothing to reopen", day)
		}
		if err := reopen(ctx, tx, tenant, day, at); err != nil {
			return err
		}
		d := reopenDetail{Day: day, Origin: o}
		if v.Ended {
			d.CutShort, d.Unbuilt, d.Missing, d.TooLate, d.Short = v.CutShort, v.Unbuilt, v.Counts().Missing, v.TooLate, v.Short
		}
		return o.Append(ctx, tx, at, tenant, ActionReopen, d)
	})
}

// wholeArchiveSQL is true for hours whose archive lacks no recording that was registered for it,
// and has none that has ended since.
const wholeArchiveSQL = `EXISTS (SELECT 1 FROM archives a WHERE a.object_key = hours.archive AND a.missing_count = 0
	AND a.file_count = (SELECT count(*) FROM recordings r WHERE r.hour = hours.hour AND r.tenant = hours.tenant AND r.day = hours.day
		AND NOT EXISTS (SELECT 1 FROM endings e WHERE e.tenant = r.tenant AND e.conversation_id = r.conversation_id)))`

// reopen opens a locked day again.
func reopen(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, at int64) error {
	for _, change := range []struct {
		query string
		args  []any
	}{
		{`UPDATE days SET reopened_us = $3, expired_us = NULL, unbuilt = NULL, too_late = 0,
			ended_us = NULL, ended_missing = NULL, ended_lacking = NULL,
			whole_us = CASE WHEN expired_us IS NULL THEN whole_us END,
			short_us = CASE WHEN expired_us IS NULL THEN short_us END, told_short_us = CASE WHEN expired_us IS NULL THEN told_short_us END WHERE tenant = $1 AND day = $2`, []any{tenant, day, at}},
		// What was retained is served again. It is looked up in the store at once.
		{`UPDATE hours SET archive = (SELECT a.object_key FROM archives a WHERE a.tenant = $1 AND a.day = $2 AND a.hour = hours.hour
			AND a.revision = hours.revision AND a.state = 'retained') WHERE tenant = $1 AND day = $2 AND state = 'expired'`, []any{tenant, day}},
		{`UPDATE archives SET state = 'published', checked_us = 0 WHERE tenant = $1 AND day = $2 AND state = 'retained'
			AND EXISTS (SELECT 1 FROM hours h WHERE h.tenant = $1 AND h.day = $2 AND h.archive = archives.object_key)`, []any{tenant, day}},
		{`UPDATE archives SET state = 'superseded', delete_after_us = $3 WHERE tenant = $1 AND day = $2 AND state = 'retained'`, []any{tenant, day, at}},
		{`UPDATE hours SET failures = 0, lapses = 0, counted = -1,
			state = CASE WHEN archive IS NOT NULL THEN 'available' WHEN wanted = 0 THEN 'no_data' ELSE 'pending' END,
			built = CASE WHEN wanted = 0 THEN 0 WHEN ` + wholeArchiveSQL + ` THEN built ELSE -1 END,
			due_us = CASE WHEN planned AND wanted > 0 AND NOT (wanted = built AND ` + wholeArchiveSQL + `) THEN CAST($3 AS BIGINT) END
			WHERE tenant = $1 AND day = $2 AND state = 'expired'`, []any{tenant, day, at}},
		{`UPDATE hours SET ended_state = NULL, ended_files = NULL, ended_missing = NULL, ended_unbuilt = NULL WHERE tenant = $1 AND day = $2`, []any{tenant, day}},
	} {
		if _, err := tx.ExecContext(ctx, change.query, change.args...); err != nil {
			return err
		}
	}
	return refreshServed(ctx, tx, tenant, day, at)
}
