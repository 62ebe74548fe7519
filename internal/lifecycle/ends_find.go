package lifecycle

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
)

const nowSQL = `(SELECT now_us FROM catalog_clock)`

// endingTenantsSQL lists at most $2 tenants after $1 whose conversations end by a source retention.
const endingTenantsSQL = `SELECT id FROM tenants WHERE source_retention_days > 0 AND id > $1
	AND coalesce(ends_from_us, 0) <= ` + nowSQL + ` AND ` + clock.TrustedSQL + ` ORDER BY id LIMIT $2`

// mayGoOnSQL is true for rows of endings whose rest may be removed: no hold covers it by now, and
// the clock is trusted.
func mayGoOnSQL() string {
	return `NOT ` + holds.ConversationSQL("endings.tenant", "endings.conversation_id") + ` AND ` + clock.TrustedSQL
}

// endingsSQL lists conversations of endings after the tenant $1 and the id $2, at most $3.
func endingsSQL() string {
	return `SELECT tenant, conversation_id FROM endings WHERE (tenant, conversation_id) > ($1, $2) AND ` + mayGoOnSQL() + ` ORDER BY tenant, conversation_id LIMIT $3`
}

// secondsSQL is the time by which an index has the conversations of a tenant in their order.
const secondsSQL = `c.start_us / 1000000`

// agedSQL reads conversations of tenant $1 that began before its source retention, after the second
// $2 and the id $3, at most $4, and says which of them end.
func agedSQL(postgres bool) string {
	return `SELECT c.id, ` + secondsSQL + `, CASE WHEN ` + catalog.EndsSQL() + ` THEN 1 ELSE 0 END
	FROM ` + oldestFirst(postgres) + ` JOIN tenants t ON t.id = $1
	WHERE c.tenant = $1 AND ` + secondsSQL + ` >= $2 AND (` + secondsSQL + `, c.id) > ($2, $3)
		AND ` + secondsSQL + ` <= (SELECT (n.now_us - x.source_retention_days * CAST(86400000000 AS BIGINT)) / 1000000
			FROM tenants x CROSS JOIN catalog_clock n WHERE x.id = $1)
	ORDER BY ` + secondsSQL + `, c.id LIMIT $4`
}

// unstartedSQL does the same for conversations without a start, by their ids. $2 is not used.
func unstartedSQL(postgres bool) string {
	return `SELECT c.id, 0, CASE WHEN ` + catalog.EndsSQL() + ` THEN 1 ELSE 0 END
	FROM ` + oldestFirst(postgres) + ` JOIN tenants t ON t.id = $1
	WHERE c.tenant = $1 AND ` + secondsSQL + ` IS NULL AND CAST($2 AS BIGINT) IS NOT NULL AND c.id > $3 ORDER BY c.id LIMIT $4`
}

// oldestFirst names the index on SQLite, which has no statistics by which to choose it.
func oldestFirst(postgres bool) string {
	if postgres {
		return `conversations c`
	}
	return `conversations AS c INDEXED BY conversations_start_printed`
}

// candidate is a conversation that may end.
type candidate struct {
	id      string
	seconds int64 // its start
	ends    bool
}

func scanCandidate(rows *sql.Rows) (c candidate, err error) {
	var ends int
	err = rows.Scan(&c.id, &c.seconds, &ends)
	c.ends = ends == 1
	return c, err
}

// lap is how far a tenant's conversations were looked at. Some stay, for example because a hold
// covers them. They are looked at again in the next lap. Those that become old enough meanwhile
// come last, so this lap still looks at them.
type lap struct {
	begun     time.Time
	seconds   int64  // the start of the conversation that was looked at last
	id        string // its id
	unstarted string // the id of the last one without a start
	done      bool   // no others followed
	upload    string // the key of the last upload that no line has named
}

// lapEvery is the shortest time between the beginnings of two laps.
const lapEvery = time.Hour

// page gives the ids of the next conversations of a tenant that end. full says that others may
// follow.
func (e *Ends) page(ctx context.Context, tenant string) (ids []string, full bool, err error) {
	l := e.laps[tenant]
	if l == nil || l.done && e.now().Sub(l.begun) >= lapEvery {
		l = &lap{begun: e.now()}
		e.laps[tenant] = l
	}
	aged, err := db.Collect(ctx, e.db, scanCandidate, agedSQL(e.db.Postgres()), tenant, l.seconds, l.id, e.cfg.Page)
	if err != nil {
		return nil, false, err
	}
	unstarted, err := db.Collect(ctx, e.db, scanCandidate, unstartedSQL(e.db.Postgres()), tenant, 0, l.unstarted, e.cfg.Page)
	if err != nil {
		return nil, false, err
	}
	if n := len(aged); n > 0 {
		l.seconds, l.id = aged[n-1].seconds, aged[n-1].id
	}
	if n := len(unstarted); n > 0 {
		l.unstarted = unstarted[n-1].id
	}
	for _, c := range append(aged, unstarted...) {
		if c.ends {
			ids = append(ids, c.id)
		}
	}
	l.done = len(aged) < e.cfg.Page && len(unstarted) < e.cfg.Page
	return ids, !l.done, nil
}
