package lifecycle

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/deletions"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ActionEnd is the audit log's action of conversations that ended by their tenant's source
// retention.
const ActionEnd = "conversation.end"

// removed counts what one transaction has removed.
type removed struct {
	conversations, recordings, messages int

	former  int64
	bytes   int64 // of the recordings whose sizes are known
	queued  int   // objects that are to be deleted
	kept    int   // objects that stay in the bucket, because callvault did not write them
	missing int   // objects that were not in the bucket
}

func (r *EndsReport) add(d removed) {
	r.Conversations += d.conversations
	r.Recordings += d.recordings
	r.Messages += d.messages
}

type endDetail struct {
	SourceRetentionDays int      `json:"sourceRetentionDays"`
	Conversations       []string `json:"conversations"`
	Unfinished          []string `json:"unfinished,omitempty"` // those that have more, of which further lines tell
	Recordings          int      `json:"recordings"`
	Messages            int      `json:"messages"`
	FormerValues        int64    `json:"formerValues"`
	Bytes               int64    `json:"bytes"`             // of the recordings whose sizes are known
	Objects             int      `json:"objects"`           // that are to be deleted
	Kept                int      `json:"kept,omitempty"`    // objects that stay in the bucket, because callvault did not write them
	Missing             int      `json:"missing,omitempty"` // objects that were not in the bucket
}

// removal is the removal of conversations, or of a part of them, in a transaction that has decided
// that they end. Their rows are locked.
type removal struct {
	tx     *db.Tx
	tenant string
	ids    []string
	seen   map[string]sight
	most   int
	cause  deletions.Cause
	order  string // the erasure's id; "" for a retention
	removed
	sums  map[string][]byte        // SHA-256 of removed recordings, by key
	hours map[domain.HourKey]int64 // how many recordings of each hour were removed

	queue []deletions.Deletion // what is to be deleted
	left  []string             // keys of objects that stay, because callvault did not write them
	free  []string             // keys that nothing names any more
}

// remove removes what conversations have, as far as it was looked up: at most e.cfg.Most
// recordings, and as many messages. Conversations that have more are noted in endings.
func (e *Ends) remove(ctx context.Context, tx *db.Tx, tenant string, ids []string, seen map[string]sight) (removed, error) {
	r := &removal{tx: tx, tenant: tenant, ids: ids, seen: seen, most: e.cfg.Most, cause: deletions.CauseRetention, sums: map[string][]byte{}, hours: map[domain.HourKey]int64{}}
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return removed{}, err
	}
	d := endDetail{Conversations: ids}
	var prefix string
	err = tx.QueryRowContext(ctx, `SELECT source_retention_days, key_prefix FROM tenants WHERE id = $1`, tenant).Scan(&d.SourceRetentionDays, &prefix)
	if err != nil {
		return removed{}, err
	}
	if err := r.drop(ctx, prefix, at); err != nil {
		return removed{}, err
	}
	if err := catalog.CountEnded(ctx, tx, r.hours); err != nil {
		return removed{}, err
	}
	if d.Unfinished, err = r.noteUnfinished(ctx, at); err != nil {
		return removed{}, err
	}
	d.Recordings, d.Messages, d.FormerValues, d.Bytes = r.recordings, r.messages, r.former, r.bytes
	d.Objects, d.Kept, d.Missing = r.queued, r.kept, r.missing
	return r.removed, audit.Origin{Actor: string(deletions.CauseRetention)}.Append(ctx, tx, at, tenant, ActionEnd, d)
}

// drop removes all rows that it can, and queues the objects. prefix is the tenant's key prefix.
func (r *removal) drop(ctx context.Context, prefix string, at int64) error {
	for _, step := range []func(context.Context) error{
		r.lockObjects, r.dropRecordings, r.dropMessages, r.dropConversations,
		func(ctx context.Context) error { return r.dropObjects(ctx, prefix, at) },
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// idChunk is how many ids one statement names.
const idChunk = 500

// keys gives the keys that were seen, sorted.
func (r *removal) keys() []string { return slices.Sorted(maps.Keys(r.seen)) }

// lockObjects locks the keys' rows in key order, as every transaction that names keys does. The
// statements after it see which rows named the keys before.
func (r *removal) lockObjects(ctx context.Context) error {
	if !r.tx.Postgres() {
		return nil
	}
	for keys := range slices.Chunk(r.keys(), idChunk) {
		_, err := r.tx.ExecContext(ctx, `SELECT 1 FROM objects WHERE key IN (`+db.Parameters(1, len(keys))+`) ORDER BY key FOR UPDATE`, db.Texts(keys)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// dropRecordings removes the recordings that were seen and still are the conversations'.
func (r *removal) dropRecordings(ctx context.Context) error {
	byDay := map[string][]string{}
	for _, key := range r.keys() {
		if day := r.seen[key].day; day != "" {
			byDay[day] = append(byDay[day], key)
		}
	}
	for day, keys := range byDay {
		for keys := range slices.Chunk(keys, idChunk) {
			args := append([]any{r.tenant, day}, db.Texts(keys)...)
			args = append(args, db.Texts(r.ids)...)
			gone, err := db.Collect(ctx, r.tx, func(rows *sql.Rows) (key string, err error) {
				var size int64
				var sum []byte
				hour := domain.HourKey{Tenant: r.tenant, Day: domain.Day(day)}
				err = rows.Scan(&key, &size, &sum, &hour.Hour)
				r.hours[hour]++
				r.bytes += size
				if sum != nil {
					r.sums[key] = sum
				}
				return key, err
			}, `DELETE FROM recordings WHERE tenant = $1 AND day = $2 AND object_key IN (`+db.Parameters(3, len(keys))+`)
				AND conversation_id IN (`+db.Parameters(3+len(keys), len(r.ids))+`) RETURNING object_key, coalesce(size, 0), sha256, hour`, args...)
			if err != nil {
				return err
			}
			r.recordings += len(gone)
			if err := r.dropNamed(ctx, `corrected_recordings WHERE tenant = $1 AND object_key`, gone, nil); err != nil {
				return err
			}
			if err := r.dropNamed(ctx, `faults WHERE tenant = $1 AND kind = 'recording' AND object_key`, gone, nil); err != nil {
				return err
			}
			if err := r.dropNamed(ctx, `history WHERE tenant = $1 AND kind = 'recording' AND id`, gone, &r.former); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropNamed removes the rows of some ids, and counts them where n is set.
func (r *removal) dropNamed(ctx context.Context, from string, ids []string, n *int64) error {
	for ids := range slices.Chunk(ids, idChunk) {
		result, err := r.tx.ExecContext(ctx, `DELETE FROM `+from+` IN (`+db.Parameters(2, len(ids))+`)`, append([]any{r.tenant}, db.Texts(ids)...)...)
		if err != nil {
			return err
		}
		gone, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n != nil {
			*n += gone
		}
	}
	return nil
}

// dropMessages removes messages with their former values.
func (r *removal) dropMessages(ctx context.Context) error {
	args := append([]any{r.tenant, r.most}, db.Texts(r.ids)...)
	in := db.Parameters(3, len(r.ids))
	gone, err := db.Collect(ctx, r.tx, db.Value[string], `DELETE FROM messages WHERE tenant = $1 AND conversation_id IN (`+in+`)
		AND id IN (SELECT id FROM messages WHERE tenant = $1 AND conversation_id IN (`+in+`) LIMIT $2) RETURNING id`, args...)
	if err != nil {
		return err
	}
	r.messages = len(gone)
	return r.dropNamed(ctx, `history WHERE tenant = $1 AND kind = 'message' AND id`, gone, &r.former)
}

// dropConversations removes the conversations' own rows, transcripts and former values.
func (r *removal) dropConversations(ctx context.Context) error {
	var n int64
	for _, drop := range []struct {
		from string
		n    *int64
	}{
		{`transcripts WHERE tenant = $1 AND conversation_id`, nil},
		{`history WHERE tenant = $1 AND kind = 'conversation' AND id`, &r.former},
		{`conversations WHERE tenant = $1 AND id`, &n},
	} {
		if err := r.dropNamed(ctx, drop.from, r.ids, drop.n); err != nil {
			return err
		}
	}
	r.conversations = int(n)
	return nil
}

// restSQL gives those of n conversations of tenant $1 that have recordings or messages.
func restSQL(n int) string {
	arms := make([]string, n)
	for i := range arms { // each reads one row, however many a conversation has
		arms[i] = fmt.Sprintf(`SELECT CAST($%[1]d AS TEXT) WHERE EXISTS (SELECT 1 FROM recordings r WHERE r.conversation_id = $%[1]d AND r.tenant = $1)
			OR EXISTS (SELECT 1 FROM messages m WHERE m.tenant = $1 AND m.conversation_id = $%[1]d)`, i+2)
	}
	return strings.Join(arms, " UNION ALL ")
}

// unfinished gives those of the conversations that have more recordings or messages.
func (r *removal) unfinished(ctx context.Context) ([]string, error) {
	return db.Collect(ctx, r.tx, db.Value[string], restSQL(len(r.ids)), append([]any{r.tenant}, db.Texts(r.ids)...)...)
}

// noteUnfinished notes in endings which of the conversations have more recordings or messages.
func (r *removal) noteUnfinished(ctx context.Context, at int64) ([]string, error) {
	rest, err := r.unfinished(ctx)
	if err != nil {
		return nil, err
	}
	done := slices.DeleteFunc(slices.Clone(r.ids), func(id string) bool { return slices.Contains(rest, id) })
	if err := r.dropNamed(ctx, `endings WHERE tenant = $1 AND conversation_id`, done, nil); err != nil {
		return nil, err
	}
	for _, id := range rest {
		if _, err := r.tx.ExecContext(ctx, `INSERT INTO endings (tenant, conversation_id, ended_us) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, r.tenant, id, at); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// unnamedSQL gives the keys, of n from $2 on, that nothing of tenant $1 names any more.
func unnamedSQL(n int) string {
	return `SELECT o.key, o.size, o.crc32, o.etag, o.sha256 FROM objects o WHERE o.tenant = $1 AND o.key IN (` + db.Parameters(2, n) + `)
		AND NOT EXISTS (SELECT 1 FROM recordings r WHERE r.tenant = o.tenant AND r.day = o.day AND r.object_key = o.key)
		AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.recording_key = o.key AND c.tenant = o.tenant)`
}

// forgetDays takes the day off keys that no recording of it has any more, and that a conversation
// still names. A later recording of such a key may be of another day.
func (r *removal) forgetDays(ctx context.Context, keys []string) error {
	_, err := r.tx.ExecContext(ctx, `UPDATE objects SET day = NULL WHERE tenant = $1 AND key IN (`+db.Parameters(2, len(keys))+`) AND day IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM recordings r WHERE r.tenant = objects.tenant AND r.day = objects.day AND r.object_key = objects.key)`,
		append([]any{r.tenant}, db.Texts(keys)...)...)
	return err
}

// dispose decides what becomes of the object of a key that nothing names any more.
func (r *removal) dispose(u upload, prefix string) {
	s, own := r.seen[u.key], prefix != "" && strings.HasPrefix(u.key, prefix)
	d := deletions.Deletion{Key: u.key, Tenant: r.tenant, ETag: u.etag, Size: u.size, SHA256: r.sums[u.key], Cause: r.cause, Subject: r.order}
	if d.SHA256 == nil {
		d.SHA256 = u.sha256
	}
	switch {
	case s.there && (own || u.wrote(s.info)):
		d.ETag, d.VersionID, d.Size = s.info.ETag, s.info.VersionID, &s.info.Size
		r.queue = append(r.queue, d)
	case s.there, s.refused && !own && u.size == nil:
		r.kept++
		r.left = append(r.left, u.key)
	case u.size == nil && !s.refused:
		r.missing++
	default: // it was stored since it was looked up, a delete marker hides it, or the store refuses to tell
		r.queue = append(r.queue, d)
	}
}

// dropObjects removes the rows of keys that nothing names any more. Objects that are callvault's to
// delete are queued for that.
func (r *removal) dropObjects(ctx context.Context, prefix string, at int64) error {
	for keys := range slices.Chunk(r.keys(), idChunk) {
		free, err := db.Collect(ctx, r.tx, scanUpload, unnamedSQL(len(keys)), append([]any{r.tenant}, db.Texts(keys)...)...)
		if err != nil {
			return err
		}
		names := make([]string, 0, len(free))
		for _, u := range free {
			names = append(names, u.key)
			r.dispose(u, prefix)
		}
		if err := r.dropNamed(ctx, `objects WHERE tenant = $1 AND key`, names, nil); err != nil {
			return err
		}
		r.free = append(r.free, names...)
		if err := r.forgetDays(ctx, keys); err != nil {
			return err
		}
	}
	r.queued = len(r.queue)
	if err := deletions.Leave(ctx, r.tx, r.tenant, r.left, at); err != nil {
		return err
	}
	return deletions.Queue(ctx, r.tx, r.queue, at)
}
