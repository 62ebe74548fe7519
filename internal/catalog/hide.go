package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// StateHidden is the state of an archive that an erasure has taken away from its hour, while the
// hour's next revision may still take recordings from it. Nobody else is given it.
const StateHidden = "hidden"

// CauseErasure is the cause of archives that are doomed because of an erasure.
const CauseErasure = "erasure"

// HiddenArchive is an archive that an erasure ends.
type HiddenArchive struct {
	domain.HourKey
	ObjectKey      string
	Size           int64
	ManifestSHA256 string // "" for one that was never published
}

// HoursWith gives the hours whose archives may have something of a conversation: those of its
// recordings, now and before corrections, those of recordings that a correction gave to another
// one, and those with an archive that has one of its sessions. They are in the order in which they
// are locked.
func HoursWith(ctx context.Context, tx *db.Tx, tenant, conversation string) ([]domain.HourKey, error) {
	var keys []domain.HourKey
	var external string
	err := tx.QueryRowContext(ctx, `SELECT coalesce((SELECT external_id FROM conversations WHERE tenant = $1 AND id = $2), $2)`, tenant, conversation).Scan(&external)
	if err != nil {
		return nil, err
	}
	sessions := map[string]bool{}
	err = db.Each(ctx, tx, func(rows *sql.Rows) error {
		var r domain.Recording
		err := rows.Scan(&r.SessionID, db.Time(&r.Timestamp))
		keys = append(keys, domain.HourOf(tenant, r.Timestamp))
		sessions[sessionName(domain.Session{ExternalConversationID: external, SessionID: r.SessionID})] = true
		return err
	}, `SELECT session_id, ts_us FROM recordings WHERE tenant = $1 AND conversation_id = $2
		UNION SELECT f.session_id, f.ts_us FROM recordings r JOIN corrected_recordings f ON f.object_key = r.object_key
		WHERE r.tenant = $1 AND r.conversation_id = $2
		UNION SELECT session_id, ts_us FROM corrected_recordings WHERE tenant = $1 AND conversation_id = $2`, tenant, conversation)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(slices.Collect(maps.Keys(sessions)), idChunk) {
		found, err := db.Collect(ctx, tx, func(rows *sql.Rows) (domain.HourKey, error) {
			k := domain.HourKey{Tenant: tenant}
			err := rows.Scan(&k.Day, &k.Hour)
			return k, err
		}, `SELECT DISTINCT a.day, a.hour FROM archives a JOIN archive_sessions s ON s.object_key = a.object_key
			WHERE a.tenant = $1 AND s.session_id IN (`+db.Parameters(2, len(some))+`)`, append([]any{tenant}, db.Texts(some)...)...)
		if err != nil {
			return nil, err
		}
		keys = append(keys, found...)
	}
	slices.SortFunc(keys, domain.HourKey.Compare)
	return slices.Compact(keys), nil
}

// ProtectingHold gives the name of a hold that protects an archive which HideHours would doom in
// one of these hours of a tenant. It gives "" for none. The served archive of an open day is left
// out, because the next revision takes from it what a hold covers. It counts if it has a recording
// that moved away and that a hold over its day covers. Holds that were released count for one more
// day only if released is true.
func ProtectingHold(ctx context.Context, tx *db.Tx, keys []domain.HourKey, released bool) (hold string, err error) {
	for _, k := range keys {
		err := tx.QueryRowContext(ctx, protectingHoldSQL(released), k.Tenant, k.Day, k.Hour).Scan(db.OrZero(&hold))
		if err != nil || hold != "" {
			return hold, err
		}
	}
	return "", nil
}

func protectingHoldSQL(released bool) string {
	name := holds.UnreleasedHourNameSQL
	if released {
		name = holds.HourNameSQL
	}
	return `SELECT min(` + name("archives.tenant", "archives.day", "archives.hour") + `) FROM archives
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND (state IN ('superseded', 'retained', 'doomed')
			OR state = 'published' AND parted AND ` + holds.WideHourSQL("archives.tenant", "archives.day") + `)
		AND ` + protectedSQL()
}

// HideHours takes away what hours of one tenant serve, in the transaction that removes recordings
// of them. Running builds lose their claims, planned hours are due, and tenants see them pending.
// The served archive, or the broken one of an hour that has no other, stays until the hour is built
// again. All other archives of the hours are doomed at once, as are those of a day that is over. It
// gives all of them. The keys are sorted.
func HideHours(ctx context.Context, tx *db.Tx, keys []domain.HourKey) (hidden []HiddenArchive, err error) {
	for len(keys) > 0 {
		n := 0
		for n < len(keys) && keys[n].Day == keys[0].Day {
			n++
		}
		some, err := hideDay(ctx, tx, keys[:n])
		if err != nil {
			return nil, err
		}
		hidden = append(hidden, some...)
		keys = keys[n:]
	}
	return hidden, nil
}

// hideDay is HideHours for the hours of one day.
func hideDay(ctx context.Context, tx *db.Tx, keys []domain.HourKey) (hidden []HiddenArchive, err error) {
	tenant, day := keys[0].Tenant, keys[0].Day
	d, err := lockOpenDay(ctx, tx, tenant, day)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if _, err := tx.ExecContext(ctx, hideHourSQL, tenant, day, k.Hour, d.at); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM failed_files WHERE tenant = $1 AND day = $2 AND hour = $3`, tenant, day, k.Hour); err != nil {
			return nil, err
		}
		some, err := db.Collect(ctx, tx, func(rows *sql.Rows) (HiddenArchive, error) {
			a := HiddenArchive{HourKey: k}
			err := rows.Scan(&a.ObjectKey, &a.Size, &a.ManifestSHA256)
			return a, err
		}, hideArchivesSQL, tenant, day, k.Hour, d.at)
		if err != nil {
			return nil, err
		}
		for _, a := range some {
			if err := forgetMissing(ctx, tx, a); err != nil {
				return nil, err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM archive_sessions WHERE object_key = $1`, a.ObjectKey); err != nil {
				return nil, err
			}
		}
		hidden = append(hidden, some...)
	}
	if d.expired {
		return hidden, nil
	}
	return hidden, refreshServed(ctx, tx, tenant, day, d.at)
}

// hideHourSQL forgets the last error too, because it may name a recording. The hour's recordings
// are counted again.
const hideHourSQL = `UPDATE hours SET last_error = NULL, counted = -1, token = NULL, lease_us = NULL, archive = NULL, recheck_us = NULL,
	wanted = CASE WHEN state IN ('expired', 'no_data') THEN wanted ELSE wanted + 1 END,
	due_us = CASE WHEN planned AND state NOT IN ('expired', 'no_data') THEN CAST($4 AS BIGINT) ELSE due_us END,
	failures = 0, lapses = 0, last_kind = NULL, failed_us = NULL, dispatched_us = NULL,
	state = CASE WHEN state IN ('available', 'failed') THEN 'pending' ELSE state END
	WHERE tenant = $1 AND day = $2 AND hour = $3`

// hideArchivesSQL hides the served archive and dooms the others. One that was found broken
// is hidden too while its hour has no newer revision, because it may be the only one that has a
// recording of another conversation. Bytes that were deleted once keep the time of their second
// deletion.
const hideArchivesSQL = `UPDATE archives SET
	cause = CASE WHEN cause = 'broken' AND (state = 'hidden' OR ` + brokenLastSQL + `) THEN 'broken' ELSE 'erasure' END,
	state = CASE WHEN state IN ('published', 'hidden') OR ` + brokenLastSQL + ` THEN 'hidden' WHEN state = 'deleting' THEN 'deleting' ELSE 'doomed' END,
	delete_after_us = CASE WHEN state IN ('published', 'hidden') OR ` + brokenLastSQL + ` THEN NULL WHEN deletions > 0 THEN delete_after_us ELSE CAST($4 AS BIGINT) END
	WHERE tenant = $1 AND day = $2 AND hour = $3
	RETURNING object_key, size, manifest_sha256`

// brokenLastSQL is true for a broken archive whose hour waits for its next revision.
const brokenLastSQL = `(state = 'doomed' AND cause = 'broken' AND deletions = 0
	AND NOT EXISTS (SELECT 1 FROM archives n WHERE n.tenant = archives.tenant AND n.day = archives.day AND n.hour = archives.hour AND n.state = 'published')
	AND ` + awaitsBuildSQL + `)`

// awaitsBuildSQL is true for archives whose hour waits for its next revision.
const awaitsBuildSQL = `EXISTS (SELECT 1 FROM hours h WHERE h.tenant = archives.tenant AND h.day = archives.day AND h.hour = archives.hour AND h.state IN ('pending', 'failed'))`

// keysOfHourSQL gives those of n keys that an hour has recordings of.
func keysOfHourSQL(n int) string {
	return `SELECT object_key FROM recordings WHERE tenant = $1 AND day = $2 AND hour = $3 AND object_key IN (` + db.Parameters(4, n) + `)`
}

// forgetMissing takes recordings that are erased, or that moved to another hour, off the list of
// those that an archive lacks. The others stay, to be compared with what the next revision lacks.
func forgetMissing(ctx context.Context, tx *db.Tx, a HiddenArchive) error {
	var text string
	var list []MissingFile
	if err := tx.QueryRowContext(ctx, `SELECT missing FROM archives WHERE object_key = $1`, a.ObjectKey).Scan(&text); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 {
		return err
	}
	known := map[string]bool{}
	for some := range slices.Chunk(list, idChunk) {
		args := []any{a.Tenant, a.Day, a.Hour}
		for _, f := range some {
			args = append(args, f.ObjectKey)
		}
		keys, err := db.Collect(ctx, tx, db.Value[string], keysOfHourSQL(len(some)), args...)
		if err != nil {
			return err
		}
		for _, key := range keys {
			known[key] = true
		}
	}
	left, err := json.Marshal(slices.DeleteFunc(list, func(f MissingFile) bool { return !known[f.ObjectKey] }))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE archives SET missing = $2 WHERE object_key = $1`, a.ObjectKey, string(left))
	return err
}

// DoomHidden dooms hidden archives that nothing needs any more: their hours have another revision
// or no data, or their days have ended. An archive that alone has a held recording stays hidden. It
// says how many it doomed.
func (c *Catalog) DoomHidden(ctx context.Context, limit int) (int, error) {
	type row struct {
		domain.HourKey
		objectKey string
	}
	if err := c.alignMissing(ctx); err != nil {
		return 0, err
	}
	rows, err := db.Collect(ctx, c.db, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.Tenant, &r.Day, &r.Hour, &r.objectKey)
		return r, err
	}, hiddenSQL(), limit)
	if err != nil {
		return 0, err
	}
	doomed, err := changeEach(rows, func(r row) (done bool, err error) {
		err = c.db.Update(ctx, func(tx *db.Tx) error {
			if err := holds.Share(ctx, tx, r.Tenant); err != nil {
				return err
			}
			d, err := lockOpenDay(ctx, tx, r.Tenant, r.Day)
			if err != nil {
				return err
			}
			done, err = db.Affected(tx.ExecContext(ctx, `UPDATE archives SET state = 'doomed', cause = 'erasure', delete_after_us = $2
				WHERE object_key = $1 AND state = 'hidden' AND NOT `+neededSQL(), r.objectKey, d.at))
			return err
		})
		return done, err
	})
	return len(doomed), err
}

const hiddenLackingSQL = `SELECT a.object_key, a.missing, n.missing FROM archives a JOIN archives n ON n.tenant = a.tenant AND n.day = a.day AND n.hour = a.hour
		AND n.revision > a.revision AND n.state = 'published' AND n.missing_count > 0 AND n.missing <> a.missing
	WHERE a.state = 'hidden' AND a.object_key IN (SELECT o.key FROM erasures e JOIN erasure_objects o ON o.erasure = e.id AND o.archive WHERE e.proven_us IS NULL)`

// alignMissing gives hidden archives the list of what their hour's newer revision lacks, if that
// one lacks nothing that they have. The lists may differ in reasons.
func (c *Catalog) alignMissing(ctx context.Context) error {
	same := map[string]string{} // the newer list by object key
	err := db.Each(ctx, c.db, func(rows *sql.Rows) error {
		var key, text, newer string
		if err := rows.Scan(&key, &text, &newer); err != nil {
			return err
		}
		var before, after []MissingFile
		if err := errors.Join(json.Unmarshal([]byte(text), &before), json.Unmarshal([]byte(newer), &after)); err != nil {
			return err
		}
		lacked := map[string]bool{}
		for _, f := range before {
			lacked[f.ObjectKey] = true
		}
		if !slices.ContainsFunc(after, func(f MissingFile) bool { return !lacked[f.ObjectKey] }) {
			same[key] = newer
		}
		return nil
	}, hiddenLackingSQL)
	if err != nil {
		return err
	}
	for key, newer := range same {
		if _, err := c.db.ExecContext(ctx, `UPDATE archives SET missing = $2 WHERE object_key = $1 AND state = 'hidden'`, key, newer); err != nil {
			return err
		}
	}
	return nil
}

// neededSQL is true for hidden archives that must stay. Their hour waits for a build, or a hold
// covers a recording of the hour and no newer revision stands for them.
func neededSQL() string {
	return `(` + awaitsBuildSQL + `
		OR EXISTS (SELECT 1 FROM recordings r WHERE r.tenant = archives.tenant AND r.day = archives.day AND r.hour = archives.hour) AND ` + heldRevisionSQL() + `)`
}

// HidingHoldSQL gives the name of a hold because of which an archive stays hidden; NULL while its
// hour waits for a build.
func HidingHoldSQL() string {
	return `CASE WHEN NOT ` + awaitsBuildSQL + ` THEN ` + holds.HourNameSQL("archives.tenant", "archives.day", "archives.hour") + ` END`
}

// hiddenSQL starts from the objects of open erasures, which are few.
func hiddenSQL() string {
	return `SELECT archives.tenant, archives.day, archives.hour, archives.object_key FROM archives
		WHERE archives.object_key IN (SELECT o.key FROM erasures e JOIN erasure_objects o ON o.erasure = e.id AND o.archive WHERE e.proven_us IS NULL)
		AND archives.state = 'hidden' AND NOT ` + neededSQL() + ` LIMIT $1`
}

// formerArchive reads the archive that an erasure has hidden from a claimed hour, or else the one
// that was found broken. It gives nil for none. Of a broken one too a build takes only what
// has the right sum.
func formerArchive(ctx context.Context, tx *db.Tx, key domain.HourKey) (*FormerArchive, error) {
	list, err := db.Collect(ctx, tx, func(rows *sql.Rows) (a FormerArchive, err error) {
		err = rows.Scan(&a.ObjectKey, &a.Size, &a.ETag, db.OrZero(&a.VersionID), &a.Broken)
		return a, err
	}, `SELECT object_key, size, etag, version_id, coalesce(cause, '') = 'broken' FROM archives WHERE tenant = $1 AND day = $2 AND hour = $3 AND (state = 'hidden' OR state = 'doomed' AND cause = 'broken') ORDER BY state DESC, revision DESC LIMIT 1`,
		key.Tenant, key.Day, key.Hour)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}
