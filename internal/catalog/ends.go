package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

const (
	// EndsWait is how long nothing ends by a source retention that was set or became shorter.
	EndsWait = 24 * time.Hour
	// restWait is how long a conversation stays at least after the last line that changed it. So a
	// conversation that is older than the source retention when it is taken in does not end at
	// once.
	restWait = 24 * time.Hour
)

// agedSQL is true for conversations c of which nothing is dated after a time in microseconds. A
// conversation without a start counts from when its first line came.
func agedSQL(until string) string {
	return `coalesce(c.start_us, c.created_us) <= ` + until + ` AND coalesce(c.end_us, 0) <= ` + until + `
	AND coalesce(c.last_action_us, 0) <= ` + until + ` AND coalesce(c.transcript_created_us, 0) <= ` + until + `
	AND coalesce(c.analyzed_us, 0) <= ` + until + ` AND coalesce(c.recording_created_us, 0) <= ` + until + `
	AND ` + noneSQL(`messages m WHERE m.tenant = c.tenant AND m.conversation_id = c.id AND m.time_us > `+until) + `
	AND ` + noneSQL(`recordings r WHERE r.conversation_id = c.id AND r.tenant = c.tenant AND r.ts_us > `+until)
}

// noneSQL is true if there are no such rows. It is a subquery for a value, which PostgreSQL runs by
// an index for each conversation. For NOT EXISTS it may read the whole table.
func noneSQL(rows string) string { return `(SELECT 1 FROM ` + rows + ` LIMIT 1) IS NULL` }

const nowSQL = `(SELECT now_us FROM catalog_clock)`

// EndsSQL is true for conversations c that end by the source retention of their tenant t. Nothing
// of them is dated later, the days of all their recordings have ended, and none of their lines came
// within the last day. No hold covers them, and the clock is trusted.
func EndsSQL() string {
	rest := fmt.Sprintf("%s - %d", nowSQL, restWait.Microseconds())
	return `t.source_retention_days > 0 AND coalesce(t.ends_from_us, 0) <= ` + nowSQL + `
	AND ` + agedSQL(nowSQL+` - t.source_retention_days`+daysInMicrosSQL) + ` AND c.updated_us <= ` + rest + `
	AND ` + noneSQL(`recordings r WHERE r.conversation_id = c.id AND r.tenant = c.tenant AND (r.registered_us > `+rest+`
		OR `+noneSQL(`days d WHERE d.tenant = r.tenant AND d.day = r.day AND d.expired_us IS NOT NULL`)+`)`) + `
	AND NOT ` + holds.ConversationSQL("c.tenant", "c.id") + ` AND ` + clock.TrustedSQL
}

// EndCounts is what a source retention ends when it begins, as long as the days of its recordings
// have ended by then.
type EndCounts struct {
	Conversations int64 `json:"conversations"`
	Recordings    int64 `json:"recordings"`
	Messages      int64 `json:"messages"`
	Bytes         int64 `json:"bytes"` // of the recordings whose sizes are known
	Held          int64 `json:"held"`  // conversations that are as old and stay, because a hold covers them
}

// endCountsSQL counts the conversations of tenant $1 of which nothing is dated after $2, in
// microseconds, and what they have.
func endCountsSQL() string {
	return `SELECT coalesce(sum(1 - held), 0), coalesce(sum((1 - held) * recordings), 0), coalesce(sum((1 - held) * messages), 0),
		coalesce(sum((1 - held) * bytes), 0), coalesce(sum(held), 0)
	FROM (SELECT CASE WHEN ` + holds.ConversationSQL("c.tenant", "c.id") + ` THEN 1 ELSE 0 END AS held,
		(SELECT count(*) FROM messages m WHERE m.tenant = c.tenant AND m.conversation_id = c.id) AS messages,
		(SELECT count(*) FROM recordings r WHERE r.conversation_id = c.id AND r.tenant = c.tenant) AS recordings,
		(SELECT coalesce(sum(r.size), 0) FROM recordings r WHERE r.conversation_id = c.id AND r.tenant = c.tenant) AS bytes
		FROM conversations c WHERE c.tenant = $1 AND ` + agedSQL(`CAST($2 AS BIGINT)`) + `) ended`
}

// CountEnds counts what a source retention of so many days, set now, ends when it begins. It reads
// all of the tenant's conversations that are old enough. Error: KindNotFound.
func (c *Catalog) CountEnds(ctx context.Context, tenant string, days int) (n EndCounts, err error) {
	if _, err := c.Tenant(ctx, tenant); err != nil || days == 0 {
		return n, err
	}
	now, err := c.Now(ctx)
	if err != nil {
		return n, err
	}
	until := now.Add(EndsWait).Add(-domain.Retention(days)).UnixMicro()
	err = c.db.QueryRowContext(ctx, endCountsSQL(), tenant, until).Scan(&n.Conversations, &n.Recordings, &n.Messages, &n.Bytes, &n.Held)
	return n, err
}

// Text says what a source retention of so many days ends.
func (n EndCounts) Text(days int) string {
	return fmt.Sprintf("a source retention of %s ends from tomorrow on: %s with %s (%s) and %s, once their days have ended; held besides: %d. "+
		"They are deleted with their audio, and nothing brings them back", english.Plural(days, "day", ""), english.Plural(int(n.Conversations), "conversation", ""),
		english.Plural(int(n.Recordings), "recording", ""), english.Plural(int(n.Bytes), "byte", ""), english.Plural(int(n.Messages), "message", ""), n.Held)
}

// CountEnded moves recordings that ended from the counts of their hours to erased_recordings,
// because a total still counts them. It locks days, so it must come after the transaction's last
// lock of an object or a row of source data, as raiseWanted must.
func CountEnded(ctx context.Context, tx *db.Tx, count map[domain.HourKey]int64) error {
	for _, h := range slices.SortedFunc(maps.Keys(count), domain.HourKey.Compare) {
		if _, err := lockDay(ctx, tx, h.Tenant, h.Day); err != nil {
			return err
		}
		if err := uncount(ctx, tx, h, count[h]); err != nil {
			return err
		}
	}
	return CountErased(ctx, tx, count)
}
