package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/deletions"
	"github.com/callvault/callvault/internal/catalog/erased"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// leaveErased takes the lines of erased conversations out of the batch and counts them. Erased
// recordings that were never registered are counted for the control totals, each once. It refuses
// lines of other conversations that name an erased object key.
func (r *registration) leaveErased(ctx context.Context, b *Batch) error {
	if r.erased == 0 {
		return nil
	}
	gone, err := r.c.erased.Which(ctx, r.tx, r.tenant, erased.Conversation, b.conversationIDs())
	if err != nil {
		return err
	}
	left := *b
	lines := [3]int{len(b.Conversations), len(b.Messages), len(b.Recordings)}
	left.Conversations = without(b.Conversations, func(c *domain.Conversation) bool { return gone[c.ID] })
	left.Messages = without(b.Messages, func(m *domain.Message) bool { return gone[m.ConversationID] })
	left.Recordings = without(b.Recordings, func(c *domain.Recording) bool { return gone[c.ConversationID] })
	r.n.Erased = lines[0] - len(left.Conversations) + lines[1] - len(left.Messages) + lines[2] - len(left.Recordings)
	if err := r.refuseErasedKeys(ctx, &left); err != nil {
		return err
	}
	if len(gone) > 0 {
		if err := r.keepOut(ctx, b, gone); err != nil {
			return err
		}
	}
	*b = left
	return nil
}

// without gives the lines whose values do not match. It does not change the given ones: a
// transaction that is repeated needs them again.
func without[T any](lines []Line[T], matches func(*T) bool) []Line[T] {
	return slices.DeleteFunc(slices.Clone(lines), func(l Line[T]) bool { return matches(&l.Value) })
}

// refuseErasedKeys refuses the first line that names an object key of an erased recording. The
// audio of such a key is never stored, so the line's recording would stay missing.
func (r *registration) refuseErasedKeys(ctx context.Context, b *Batch) error {
	named := namedKeys(b.Recordings, b.Conversations)
	gone, err := r.c.erased.Which(ctx, r.tx, r.tenant, erased.Object, slices.Collect(maps.Keys(named)))
	if err != nil || len(gone) == 0 {
		return err
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(gone)), func(a, b string) int { return named[a].line - named[b].line })
	return refuse(named[first].line, domain.KindInvalid, "%q is the key of a recording that was erased; send line and audio under another key", named[first].field)
}

// keepOut adds the hashes of the object keys that lines of erased conversations name, so that their
// audio is not stored either. It leaves out keys that another recording or conversation has.
func (r *registration) keepOut(ctx context.Context, b *Batch, gone map[string]bool) error {
	hours := map[string]domain.HourKey{}
	for i := range b.Recordings {
		if l := &b.Recordings[i].Value; gone[l.ConversationID] {
			hours[l.ObjectKey] = domain.HourOf(r.tenant, l.Timestamp)
		}
	}
	keys := maps.Clone(hours)
	for i := range b.Conversations {
		if l := &b.Conversations[i].Value; gone[l.ID] && l.RecordingKey != "" {
			if _, ok := keys[l.RecordingKey]; !ok {
				keys[l.RecordingKey] = domain.HourKey{}
			}
		}
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(keys)), idChunk) {
		taken, err := r.takenKeys(ctx, some)
		if err != nil {
			return err
		}
		some = slices.DeleteFunc(slices.Clone(some), func(key string) bool { return taken[key] })
		if err := queueErased(ctx, r.tx, r.tenant, some, r.at); err != nil {
			return err
		}
		fresh, err := r.c.erased.Add(ctx, r.tx, r.tenant, erased.Object, some)
		if err != nil {
			return err
		}
		count := map[domain.HourKey]int64{}
		for _, key := range fresh {
			if hour, ok := hours[key]; ok {
				count[hour]++
				r.counted = append(r.counted, hour.Day)
			}
		}
		if err := CountErased(ctx, r.tx, count); err != nil {
			return err
		}
	}
	return nil
}

// queueErased queues the deletion of audio that was uploaded before its line.
func queueErased(ctx context.Context, tx *db.Tx, tenant string, keys []string, at int64) error {
	if len(keys) == 0 {
		return nil
	}
	uploads, err := db.Collect(ctx, tx, func(rows *sql.Rows) (d deletions.Deletion, err error) {
		d.Tenant, d.Cause = tenant, deletions.CauseErasure
		err = rows.Scan(&d.Key, &d.Size, &d.SHA256, db.OrZero(&d.ETag))
		return d, err
	}, `DELETE FROM objects WHERE tenant = $1 AND day IS NULL AND key IN (`+db.Parameters(2, len(keys))+`) RETURNING key, size, sha256, etag`,
		append([]any{tenant}, db.Texts(keys)...)...)
	if err != nil {
		return err
	}
	slices.SortFunc(uploads, func(a, b deletions.Deletion) int { return strings.Compare(a.Key, b.Key) })
	return deletions.Queue(ctx, tx, uploads, at)
}

// takenKeys gives those of the keys that another tenant has, or another recording or conversation.
// It locks their rows first, as every transaction does that names keys. So it sees what has named
// one before, and what names one later waits.
func (r *registration) takenKeys(ctx context.Context, keys []string) (map[string]bool, error) {
	if r.tx.Postgres() {
		_, err := r.tx.ExecContext(ctx, `SELECT 1 FROM objects WHERE key IN (`+db.Parameters(1, len(keys))+`) ORDER BY key FOR UPDATE`, db.Texts(keys)...)
		if err != nil {
			return nil, err
		}
	}
	taken := map[string]bool{}
	err := db.Each(ctx, r.tx, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		taken[key] = true
		return err
	}, `SELECT key FROM objects WHERE key IN (`+db.Parameters(2, len(keys))+`) AND (tenant <> $1 OR day IS NOT NULL
		OR EXISTS (SELECT 1 FROM conversations c WHERE c.recording_key = objects.key AND c.tenant = $1))`,
		append([]any{r.tenant}, db.Texts(keys)...)...)
	return taken, err
}

// CountErased adds to how many recordings of each hour were erased or ended.
func CountErased(ctx context.Context, tx *db.Tx, count map[domain.HourKey]int64) error {
	hours := slices.SortedFunc(maps.Keys(count), domain.HourKey.Compare)
	for _, h := range hours {
		_, err := tx.ExecContext(ctx, `INSERT INTO erased_recordings (tenant, day, hour, recordings) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, day, hour) DO UPDATE SET recordings = erased_recordings.recordings + excluded.recordings`,
			h.Tenant, h.Day, h.Hour, count[h])
		if err != nil {
			return fmt.Errorf("count erased recordings: %w", err)
		}
	}
	return nil
}

// refuseErased refuses to give a recording to an erased conversation. erasures is how many of the
// tenant's conversations were erased.
func (c *Catalog) refuseErased(ctx context.Context, tx *db.Tx, tenant, conversation string, erasures int64) error {
	if erasures == 0 {
		return nil
	}
	gone, err := c.erased.Which(ctx, tx, tenant, erased.Conversation, []string{conversation})
	if err == nil && gone[conversation] {
		err = domain.Errorf(domain.KindInvalid, "the conversation was erased; name another one")
	}
	return err
}

// erasedKey says whether an object key is one of an erased recording.
func (c *Catalog) erasedKey(ctx context.Context, tx *db.Tx, tenant, key string, erasures int64) (bool, error) {
	if erasures == 0 {
		return false, nil
	}
	gone, err := c.erased.Which(ctx, tx, tenant, erased.Object, []string{key})
	return gone[key], err
}

// dropErased queues the deletion of bytes whose recording was erased before or during their upload.
// Bytes that an erasure left to the platform stay. Error: KindConflict for a key that was not
// erased, or that has a row again.
func (c *Catalog) dropErased(ctx context.Context, tx *db.Tx, tenant string, u Upload) error {
	t, err := requireTenant(ctx, tx, tenant)
	if err != nil {
		return err
	}
	gone, err := c.erasedKey(ctx, tx, tenant, u.Key, t.erasures)
	if err != nil {
		return err
	}
	var known bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM objects WHERE key = $1)`, u.Key).Scan(&known); err != nil {
		return err
	}
	if !gone || known {
		return domain.Errorf(domain.KindConflict, "the object key's recording ended while its audio was stored; send the audio again")
	}
	queued, err := deletions.Queued(ctx, tx, []string{u.Key})
	if err != nil || len(queued) > 0 {
		return err
	}
	var left bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM left_objects WHERE key = $1)`, u.Key).Scan(&left); err != nil || left && !u.New {
		return err
	}
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return err
	}
	return deletions.Queue(ctx, tx, []deletions.Deletion{{Key: u.Key, Tenant: tenant, Size: &u.Size, ETag: u.ETag, Cause: deletions.CauseErasure}}, at)
}
