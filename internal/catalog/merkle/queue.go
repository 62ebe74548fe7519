package merkle

import (
	"context"
	"database/sql"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/db"
)

// The kinds of leaves.
const (
	KindLine = "line" // a line of the audit log
	KindSeal = "seal" // a seal of a day
)

// Log reads and writes the tables of the log.
type Log struct{ db *db.DB }

// New gives the log of a database.
func New(d *db.DB) *Log { return &Log{d} }

// Key names what a leaf is of. The zero Key is unknown: a leaf whose row was lost with a catalog.
type Key struct {
	Kind string
	Ref  int64 // audit.seq of a line, else the id that Add gave
}

// Record is what a leaf is of.
type Record struct {
	Key
	Line *Line  // of an audit line
	Data string // of all others
	// Missing says that there is no such row, or not the links that it names.
	Missing bool
}

// Line is a line of the audit log as its columns are stored.
type Line struct {
	Seq, AtUS                     int64
	Tenant, Actor, Action, Detail string
	Links                         []byte // SHA-256; nil for none
}

// Leaf is a leaf of the tree.
type Leaf struct {
	Key
	N    int64
	Hash tlog.Hash
}

// Add queues data as a leaf, in the transaction of what it tells of. The id that it returns, with
// the kind, is the leaf's key.
func Add(ctx context.Context, tx *db.Tx, kind string, data []byte) (id int64, err error) {
	if err := tx.QueryRowContext(ctx, `INSERT INTO log_records (kind, data) VALUES ($1, $2) RETURNING id`, kind, string(data)).Scan(&id); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO log_queue (kind, ref) VALUES ($1, $2)`, kind, id)
	return id, err
}

// Queued lists what waits for its number, records before lines: at most limit.
func (l *Log) Queued(ctx context.Context, limit int) ([]Record, error) {
	list, err := db.Collect(ctx, l.db, scanRecord, `SELECT q.kind, q.ref, r.data, NULL, NULL, NULL, NULL, NULL, NULL, NULL
		FROM log_queue q LEFT JOIN log_records r ON r.id = q.ref AND r.kind = q.kind
		WHERE q.kind = 'seal' AND NOT q.gone ORDER BY q.ref LIMIT $1`, limit) // "<> 'line'" would walk all queued lines
	if err != nil || len(list) == limit {
		return list, err
	}
	lines, err := db.Collect(ctx, l.db, scanRecord, `SELECT q.kind, q.ref, NULL, a.seq, a.at_us, a.tenant, a.actor, a.action, a.detail, a.links
		FROM log_queue q LEFT JOIN audit a ON a.seq = q.ref
		WHERE q.kind = 'line' AND NOT q.gone ORDER BY q.ref LIMIT $1`, limit-len(list))
	return append(list, lines...), err
}

// Backfill lists lines that stood before the log began and have no number yet: at most limit.
func (l *Log) Backfill(ctx context.Context, limit int) ([]Record, error) {
	return db.Collect(ctx, l.db, scanRecord, `SELECT 'line', a.seq, NULL, a.seq, a.at_us, a.tenant, a.actor, a.action, a.detail, a.links
		FROM log_state s JOIN audit a ON a.seq > s.backfilled AND a.seq <= s.backfill_to ORDER BY a.seq LIMIT $1`, limit)
}

// scanRecord scans kind, ref, data, and the columns of a line.
func scanRecord(rows *sql.Rows) (r Record, err error) {
	var data, tenant, actor, action, detail sql.NullString
	var seq, at sql.NullInt64
	var links []byte
	err = rows.Scan(&r.Kind, &r.Ref, &data, &seq, &at, &tenant, &actor, &action, &detail, &links)
	r.fill(data, seq, at, tenant, actor, action, detail, links)
	return r, err
}

func (r *Record) fill(data sql.NullString, seq, at sql.NullInt64, tenant, actor, action, detail sql.NullString, links []byte) {
	r.Data = data.String
	if seq.Valid && at.Valid && tenant.Valid && actor.Valid && action.Valid && detail.Valid { // a line with NULL in it is none
		r.Line = &Line{Seq: seq.Int64, AtUS: at.Int64, Tenant: tenant.String, Actor: actor.String, Action: action.String, Detail: detail.String, Links: links}
	}
	r.Missing = !data.Valid && r.Line == nil
}
