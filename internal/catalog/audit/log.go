package audit

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
)

// Log is the audit log.
type Log struct{ db *db.DB }

// New gives the audit log of a database.
func New(d *db.DB) *Log {
	d.Prepare(appendSQL, onceSQL)
	return &Log{d}
}

// Origin says who made a request, from where, and which request it was. The detail of a line embeds
// it, without the actor, which has a column of its own.
type Origin struct {
	Actor   string `json:"-"`                 // app:ID, key:ID, oidc:SUBJECT, link, admin, command
	Remote  string `json:"remote,omitempty"`  // network address
	Request string `json:"request,omitempty"` // request id
}

// Entry is one row of the audit log.
type Entry struct {
	Seq    int64           `json:"seq"`
	At     time.Time       `json:"at"`
	Tenant string          `json:"tenant"`
	Actor  string          `json:"actor"`
	Action string          `json:"action"`
	Detail json.RawMessage `json:"detail"`
}

// hour is in microseconds.
const hour = int64(3_600_000_000)

const appendSQL = `INSERT INTO audit (at_us, tenant, actor, action, detail, links) VALUES ($1, $2, $3, $4, $5, $6)`

// Append writes one row of the audit log in the transaction of the change that it describes.
func (o Origin) Append(ctx context.Context, tx *db.Tx, at int64, tenant, action string, detail any) error {
	return o.AppendLinks(ctx, tx, at, tenant, action, detail, nil)
}

// AppendLinks is Append for a line with links. links is their name in the table audit_links.
func (o Origin) AppendLinks(ctx context.Context, tx *db.Tx, at int64, tenant, action string, detail, links any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, appendSQL, at, tenant, o.Actor, action, string(text), links)
	return err
}

const onceSQL = `INSERT INTO audit_once (hour, sum) VALUES ($1, $2) ON CONFLICT (hour, sum) DO NOTHING`

// AppendOnce is Append for what can happen very often: it writes one row for a subject in each hour
// of the clock.
func (o Origin) AppendOnce(ctx context.Context, tx *db.Tx, at int64, tenant, action, subject string, detail any) error {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{tenant, o.Actor, action, subject}))
	result, err := tx.ExecContext(ctx, onceSQL, at/hour, sum[:])
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n == 0 {
		return err
	}
	return o.Append(ctx, tx, at, tenant, action, detail)
}

// PurgeOnce deletes what AppendOnce remembers of former hours, at most limit rows.
func (l *Log) PurgeOnce(ctx context.Context, limit int) error {
	return l.inOwn(ctx, func(tx *db.Tx, at int64) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM audit_once WHERE (hour, sum) IN (SELECT hour, sum FROM audit_once WHERE hour < $1 LIMIT $2)`, at/hour, limit)
		return err
	})
}

// AppendAuditOnce is AppendAudit for what can happen very often; see [Origin.AppendOnce].
func (l *Log) AppendAuditOnce(ctx context.Context, o Origin, tenant, action, subject string, detail any) error {
	return l.inOwn(ctx, func(tx *db.Tx, at int64) error {
		return o.AppendOnce(ctx, tx, at, tenant, action, subject, detail)
	})
}

// AppendAudit writes one row of the audit log in a transaction of its own. detail is encoded as
// JSON and must be an object. It has the origin's address and request only if it embeds the origin.
func (l *Log) AppendAudit(ctx context.Context, o Origin, tenant, action string, detail any) error {
	return l.inOwn(ctx, func(tx *db.Tx, at int64) error { return o.Append(ctx, tx, at, tenant, action, detail) })
}

// inOwn runs fn in a transaction of its own, with the catalog's time.
func (l *Log) inOwn(ctx context.Context, fn func(tx *db.Tx, at int64) error) error {
	return l.db.Batch(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return fn(tx, at)
	})
}

// pageRows is how many rows are read by one query.
const pageRows = 1000

// Audit calls fn with a tenant's rows of [from, to), oldest first. It reads pages, so that no
// transaction is open while fn runs. It stops at fn's first error and returns it.
func (l *Log) Audit(ctx context.Context, tenant string, from, to time.Time, fn func(Entry) error) error {
	at, seq := db.Micros(from), int64(0)
	for {
		page, err := db.Collect(ctx, l.db, Scan, `SELECT a.seq, a.at_us, a.tenant, a.actor, a.action, a.detail, l.links
			FROM audit a LEFT JOIN audit_links l ON l.sum = a.links
			WHERE a.tenant = $1 AND (a.at_us, a.seq) > ($2, $3) AND a.at_us < $4 ORDER BY a.at_us, a.seq LIMIT $5`,
			tenant, at, seq, db.Micros(to), pageRows)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
			at, seq = db.Micros(e.At), e.Seq
		}
		if len(page) < pageRows {
			return nil
		}
	}
}

// Scan scans a row of the audit log, with the JSON of its links.
func Scan(rows *sql.Rows) (e Entry, err error) {
	var detail, links string
	err = rows.Scan(&e.Seq, db.Time(&e.At), &e.Tenant, &e.Actor, &e.Action, &detail, db.OrZero(&links))
	if links != "" {
		detail = strings.TrimSuffix(detail, "}") + `,"links":` + links + "}"
	}
	e.Detail = json.RawMessage(formerHour.ReplaceAllStringFunc(detail, hourText))
	return e, err
}

// formerHour matches an hour that is a number. Former programs wrote some hours so, and stored
// lines do not change. It can't match inside of a JSON string, where quotes are escaped.
var formerHour = regexp.MustCompile(`"hour":\d+`)

// hourText writes such an hour with two digits, as lines have it now.
func hourText(former string) string {
	name, hour, _ := strings.Cut(former, ":")
	return name + `:"` + strings.Repeat("0", max(2-len(hour), 0)) + hour + `"`
}
