package merkle

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/db"
)

// LeafRow is a leaf that has a number, with the row that it is of.
type LeafRow struct {
	N int64
	Record
	NoLinks bool // the line names links that are not there
}

// Leaves lists the leaves of [from, to), in order. Their keys are zero where the row was lost with
// a catalog. A number stands there twice where somebody took the tables' keys away.
func (l *Log) Leaves(ctx context.Context, from, to int64) ([]LeafRow, error) {
	return db.Collect(ctx, l.db, func(rows *sql.Rows) (s LeafRow, err error) {
		var data, tenant, actor, action, detail sql.NullString
		var seq, at sql.NullInt64
		var links []byte
		err = rows.Scan(&s.N, db.OrZero(&s.Kind), db.OrZero(&s.Ref), &data, &seq, &at, &tenant, &actor, &action, &detail, &links, &s.NoLinks)
		s.fill(data, seq, at, tenant, actor, action, detail, links)
		return s, err
	}, `SELECT l.n, l.kind, l.ref, r.data, a.seq, a.at_us, a.tenant, a.actor, a.action, a.detail, a.links, a.links IS NOT NULL AND (k.sum IS NULL OR length(a.links) <> 32)
		FROM log_leaves l LEFT JOIN audit a ON l.kind = 'line' AND a.seq = l.ref
		LEFT JOIN log_records r ON l.kind <> 'line' AND r.id = l.ref AND r.kind = l.kind
		LEFT JOIN audit_links k ON k.sum = a.links
		WHERE l.n >= $1 AND l.n < $2 ORDER BY l.n`, from, to)
}

// source is a table whose rows are leaves.
type source struct{ table, id, kind, columns, own string }

// lines are the lines of the audit log that the backfill has numbered or that came after it.
func lines() source {
	return source{
		table: "audit", id: "seq", kind: "'line'", columns: `'line', t.seq, NULL, t.seq, t.at_us, t.tenant, t.actor, t.action, t.detail, t.links`,
		own: `(t.seq > (SELECT backfill_to FROM log_state) OR t.seq <= (SELECT backfilled FROM log_state))`,
	}
}

func records() source {
	return source{table: "log_records", id: "id", kind: "nullif(t.kind, 'line')", columns: `t.kind, t.id, t.data, NULL, NULL, NULL, NULL, NULL, NULL, NULL`, own: "TRUE"}
}

// Page tells which of some rows the log does not know.
type Page struct {
	Unknown []Record
	Last    int64 // id of the last row that was looked at
	End     bool  // there was no row to look at
}

// UnknownLines looks at limit lines at most, from a seq on. It lists those that are no leaf, do not
// wait in the queue, and are not of the backfill: somebody has inserted them without the trigger.
func (l *Log) UnknownLines(ctx context.Context, from int64, limit int) (Page, error) {
	return l.unknown(ctx, lines(), from, limit)
}

// UnknownRecords is UnknownLines for records.
func (l *Log) UnknownRecords(ctx context.Context, from int64, limit int) (Page, error) {
	return l.unknown(ctx, records(), from, limit)
}

func (l *Log) unknown(ctx context.Context, s source, from int64, limit int) (p Page, err error) {
	var last sql.NullInt64
	err = l.db.QueryRowContext(ctx, `SELECT max(id) FROM (SELECT `+s.id+` AS id FROM `+s.table+` WHERE `+s.id+` >= $1 ORDER BY 1 LIMIT $2) p`, from, limit).Scan(&last)
	if err != nil || !last.Valid {
		return Page{End: true}, err
	}
	p.Last = last.Int64
	p.Unknown, err = db.Collect(ctx, l.db, scanRecord, `SELECT `+s.columns+` FROM `+s.table+` t WHERE t.`+s.id+` >= $1 AND t.`+s.id+` <= $2 AND `+s.own+`
		AND NOT EXISTS (SELECT 1 FROM log_leaves f WHERE f.kind = `+s.kind+` AND f.ref = t.`+s.id+` AND f.n >= 0 AND f.n < (SELECT size FROM log_state))
		AND NOT EXISTS (SELECT 1 FROM log_queue q WHERE q.kind = `+s.kind+` AND q.ref = t.`+s.id+` AND NOT q.gone) ORDER BY t.`+s.id, from, p.Last)
	return p, err
}

// Orphans lists rows of the queue whose line or record is gone, or was when the sealer came to it:
// at most limit.
func (l *Log) Orphans(ctx context.Context, limit int) ([]Key, error) {
	return db.Collect(ctx, l.db, func(rows *sql.Rows) (k Key, err error) {
		err = rows.Scan(&k.Kind, &k.Ref)
		return k, err
	}, `SELECT kind, ref FROM log_queue q WHERE q.gone OR kind = 'line' AND NOT EXISTS (SELECT 1 FROM audit a WHERE a.seq = q.ref)
			OR kind <> 'line' AND NOT EXISTS (SELECT 1 FROM log_records r WHERE r.id = q.ref AND r.kind = q.kind)
		ORDER BY kind, ref LIMIT $1`, limit)
}

// HiddenSeals lists seals with a number that do not stand among those of their day: at most limit.
func (l *Log) HiddenSeals(ctx context.Context, limit int) ([]int64, error) {
	return db.Collect(ctx, l.db, func(rows *sql.Rows) (id int64, err error) {
		err = rows.Scan(&id)
		return id, err
	}, `SELECT r.id FROM log_records r JOIN log_leaves f ON f.kind = 'seal' AND f.ref = r.id
		LEFT JOIN day_seals d ON d.record = r.id AND r.data LIKE '{"tenant":"' || d.tenant || '","utcDay":"' || d.day || '",%'
		WHERE r.kind = 'seal' AND d.record IS NULL ORDER BY r.id LIMIT $1`, limit)
}

// Links lists links of the audit log after a sum, in order: at most limit.
func (l *Log) Links(ctx context.Context, after []byte, limit int) (list []Links, err error) {
	return db.Collect(ctx, l.db, func(rows *sql.Rows) (k Links, err error) {
		err = rows.Scan(&k.Sum, &k.Text)
		return k, err
	}, `SELECT sum, links FROM audit_links WHERE sum > $1 ORDER BY sum LIMIT $2`, after, limit)
}

// Links are a row of audit_links.
type Links struct {
	Sum  []byte // SHA-256 of Text
	Text string
}

// Same gives another line of the audit log that says the same as one; 0 for none.
func (l *Log) Same(ctx context.Context, of Line) (seq int64, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT coalesce(min(seq), 0) FROM audit WHERE tenant = $1 AND at_us = $2 AND actor = $3 AND action = $4 AND detail = $5 AND seq <> $6`,
		of.Tenant, of.AtUS, of.Actor, of.Action, of.Detail, of.Seq).Scan(&seq)
	return seq, err
}

// Waiting counts what has no number yet.
func (l *Log) Waiting(ctx context.Context) (n int64, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM log_queue)
		+ (SELECT count(*) FROM log_state s JOIN audit a ON a.seq > s.backfilled AND a.seq <= s.backfill_to)`).Scan(&n)
	return n, err
}
