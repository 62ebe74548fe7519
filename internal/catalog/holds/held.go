package holds

import (
	"context"
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// The functions of this file say in SQL what a hold covers. Their arguments are SQL expressions:
// columns of the statement's own tables, by the table's name or alias, or parameters. Ask in the
// statement that ends or deletes, in a transaction that has called [Share] first, and before it
// deletes rows of conversations, messages or recordings, which are read. The aliases of these
// expressions end with an underscore.

// ConversationSQL is true while a hold covers a conversation: one over all, one that lists it, or
// one over days with one of its dated parts: the time from its start to its end, its recordings and
// its messages.
func ConversationSQL(tenant, conversation string) string {
	return exists(tenant, conversationOf(conversation))
}

// ConversationNameSQL gives the name of a hold that covers a conversation; NULL when none does.
func ConversationNameSQL(tenant, conversation string) string {
	return name(tenant, conversationOf(conversation))
}

// HourSQL is true while a hold covers what an hour's archive has. Such a hold covers everything,
// the hour's day, or a conversation with a recording in that hour.
func HourSQL(tenant, day, hour string) string {
	return exists(tenant, dayOf(day, ` AND r_.hour = `+hour))
}

// WideHourSQL is HourSQL for holds over everything and over days, and leaves out those over single
// conversations.
func WideHourSQL(tenant, day string) string {
	return exists(tenant, fmt.Sprintf(`h_.scope = 'all' OR h_.scope = 'days' AND %s BETWEEN h_.from_day AND h_.to_day`, day))
}

// DaySQL is true while a hold covers what any hour's archive of a day has.
func DaySQL(tenant, day string) string { return exists(tenant, dayOf(day, "")) }

// HourNameSQL gives the name of a hold that covers what an hour's archive has; NULL when none does.
func HourNameSQL(tenant, day, hour string) string {
	return name(tenant, dayOf(day, ` AND r_.hour = `+hour))
}

// UnreleasedConversationNameSQL is ConversationNameSQL without holds that were released.
func UnreleasedConversationNameSQL(tenant, conversation string) string {
	return nameOf(unreleased(tenant), conversationOf(conversation))
}

// UnreleasedHourNameSQL is HourNameSQL without holds that were released.
func UnreleasedHourNameSQL(tenant, day, hour string) string {
	return nameOf(unreleased(tenant), dayOf(day, ` AND r_.hour = `+hour))
}

func exists(tenant, covers string) string {
	return `EXISTS (SELECT 1 FROM holds h_ WHERE ` + active(tenant) + ` AND (` + covers + `))`
}

func name(tenant, covers string) string { return nameOf(active(tenant), covers) }

func nameOf(which, covers string) string {
	return `(SELECT min(h_.name) FROM holds h_ WHERE ` + which + ` AND (` + covers + `))`
}

// unreleased is true for the holds h_ of a tenant that were not released.
func unreleased(tenant string) string { return `h_.tenant = ` + tenant + ` AND h_.released_us IS NULL` }

// safety is how long a hold covers after its release. A release by mistake can be mended by a new
// hold within that time.
const safety = 24 * time.Hour

// active is true for the holds h_ of a tenant that cover.
func active(tenant string) string {
	return fmt.Sprintf(`h_.tenant = %s AND (h_.released_us IS NULL OR h_.released_us > (SELECT now_us FROM catalog_clock) - CAST(%d AS BIGINT))`,
		tenant, safety.Microseconds())
}

// CoverUntil gives until when a tenant's released holds cover; the zero time when none does.
func CoverUntil(ctx context.Context, tx *db.Tx, tenant string) (until time.Time, err error) {
	err = tx.QueryRowContext(ctx, `SELECT max(h_.released_us) + $2 FROM holds h_ WHERE `+active("$1"), tenant, safety.Microseconds()).Scan(db.Time(&until))
	return until, err
}

func conversationOf(conversation string) string {
	return fmt.Sprintf(`h_.scope = 'all'
		OR h_.scope = 'conversations' AND EXISTS (SELECT 1 FROM hold_conversations l_ WHERE l_.hold = h_.id AND l_.conversation_id = %[1]s)
		OR h_.scope = 'days' AND (
			EXISTS (SELECT 1 FROM conversations c_ WHERE c_.tenant = h_.tenant AND c_.id = %[1]s AND c_.start_us < h_.to_us
				AND (c_.start_us >= h_.from_us OR c_.end_us >= h_.from_us OR c_.last_action_us >= h_.from_us))
			OR EXISTS (SELECT 1 FROM recordings r_ WHERE r_.conversation_id = %[1]s AND r_.tenant = h_.tenant
				AND r_.day BETWEEN h_.from_day AND h_.to_day)
			OR EXISTS (SELECT 1 FROM messages m_ WHERE m_.tenant = h_.tenant AND m_.conversation_id = %[1]s
				AND m_.time_us >= h_.from_us AND m_.time_us < h_.to_us))`, conversation)
}

// dayOf takes a further condition of the recordings r_.
func dayOf(day, further string) string {
	return fmt.Sprintf(`h_.scope = 'all'
		OR h_.scope = 'days' AND %[1]s BETWEEN h_.from_day AND h_.to_day
		OR h_.scope = 'conversations' AND EXISTS (SELECT 1 FROM recordings r_ JOIN hold_conversations l_
			ON l_.hold = h_.id AND l_.conversation_id = r_.conversation_id WHERE r_.tenant = h_.tenant AND r_.day = %[1]s%[2]s)`, day, further)
}

// Share locks a tenant's row for a transaction that ends or deletes something of the tenant. It is
// the first lock of the transaction. Holds are created and released under an exclusive lock of that
// row. So the transaction sees each hold that was created before its statements, and a hold that is
// created later finds what the transaction has done. On SQLite there is one writer at a time.
func Share(ctx context.Context, tx *db.Tx, tenant string) error {
	if !tx.Postgres() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SELECT 1 FROM tenants WHERE id = $1 FOR SHARE`, tenant)
	return err
}

// ExcludeAll is [Exclude] for a transaction beside which nothing is taken in for the tenant: it
// also waits for registrations, uploads and corrections, and they wait for it. On PostgreSQL an
// UPDATE of the row does not conflict with their FOR KEY SHARE.
func ExcludeAll(ctx context.Context, tx *db.Tx, tenant string) error {
	if tx.Postgres() {
		if _, err := tx.ExecContext(ctx, `SELECT 1 FROM tenants WHERE id = $1 FOR UPDATE`, tenant); err != nil {
			return err
		}
	}
	return Exclude(ctx, tx, tenant)
}

// Exclude locks a tenant's row for a transaction that creates or releases a hold, or opens a day
// again. It waits for transactions that have called [Share]. Error: KindNotFound for an unknown
// tenant.
func Exclude(ctx context.Context, tx *db.Tx, tenant string) error {
	known, err := db.Affected(tx.ExecContext(ctx, `UPDATE tenants SET name = name WHERE id = $1`, tenant))
	if err == nil && !known {
		err = domain.Errorf(domain.KindNotFound, "tenant %.70q does not exist; see: callvault tenant list", tenant)
	}
	return err
}
