package catalog

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ActionEvidence is the audit log's action of an evidence pack that was made.
const ActionEvidence = "evidence.export"

// EvidenceLine is a line of the audit log with the number of its leaf.
type EvidenceLine struct {
	merkle.Line
	LinksText string // of audit_links; "" for a line without links
	Leaf      int64  // -1 while it has no number yet
}

const evidencePage = 1000

// EvidenceLines calls fn with a tenant's lines of [from, to), oldest first. It reads pages, so that
// no transaction is open while fn runs.
func (c *Catalog) EvidenceLines(ctx context.Context, tenant string, from, to time.Time, fn func(EvidenceLine) error) error {
	at, seq := db.Micros(from), int64(0)
	for {
		page, err := db.Collect(ctx, c.db, scanEvidenceLine, evidenceLinesSQL, tenant, at, seq, db.Micros(to), evidencePage)
		if err != nil {
			return err
		}
		for _, l := range page {
			if err := fn(l); err != nil {
				return err
			}
			at, seq = l.AtUS, l.Seq
		}
		if len(page) < evidencePage {
			return nil
		}
	}
}

const (
	evidenceLineColumns = `a.seq, a.at_us, a.tenant, a.actor, a.action, a.detail, a.links, l.links, f.n
	FROM audit a LEFT JOIN audit_links l ON l.sum = a.links LEFT JOIN log_leaves f ON f.kind = 'line' AND f.ref = a.seq`
	evidenceLinesSQL = `SELECT ` + evidenceLineColumns + `
	WHERE a.tenant = $1 AND (a.at_us, a.seq) > ($2, $3) AND a.at_us < $4 ORDER BY a.at_us, a.seq LIMIT $5`
	evidenceExportSQL = `SELECT ` + evidenceLineColumns + `
	WHERE a.tenant = $1 AND a.action = $2 AND a.at_us >= $3 AND a.detail LIKE $4 ORDER BY a.at_us DESC, a.seq DESC LIMIT 1`
)

func scanEvidenceLine(rows *sql.Rows) (l EvidenceLine, err error) {
	var leaf sql.NullInt64
	err = rows.Scan(&l.Seq, &l.AtUS, &l.Tenant, &l.Actor, &l.Action, &l.Detail, &l.Links, db.OrZero(&l.LinksText), &leaf)
	if l.Leaf = -1; leaf.Valid {
		l.Leaf = leaf.Int64
	}
	return l, err
}

// EvidenceExport reads the line of an evidence pack whose manifest has this sum, written at since
// or later. Error: KindNotFound.
func (c *Catalog) EvidenceExport(ctx context.Context, tenant, manifest string, since time.Time) (EvidenceLine, error) {
	list, err := db.Collect(ctx, c.db, scanEvidenceLine, evidenceExportSQL, tenant, ActionEvidence, db.Micros(since), "%"+manifest+"%")
	if err == nil && len(list) == 0 {
		err = domain.Errorf(domain.KindNotFound, "the audit log has no line of the pack")
	}
	if err != nil {
		return EvidenceLine{}, err
	}
	return list[0], nil
}

// EvidenceSeal is a seal of a day with the number of its leaf.
type EvidenceSeal struct {
	Data string // the leaf's data
	Leaf int64  // -1 while it has no number yet
}

// EvidenceSeals lists all seals of a tenant's day, oldest first.
func (c *Catalog) EvidenceSeals(ctx context.Context, tenant string, day domain.Day) ([]EvidenceSeal, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (s EvidenceSeal, err error) {
		var leaf sql.NullInt64
		err = rows.Scan(&s.Data, &leaf)
		if s.Leaf = -1; leaf.Valid {
			s.Leaf = leaf.Int64
		}
		return s, err
	}, `SELECT r.data, f.n FROM day_seals s JOIN log_records r ON r.id = s.record LEFT JOIN log_leaves f ON f.kind = 'seal' AND f.ref = s.record
		WHERE s.tenant = $1 AND s.day = $2 ORDER BY s.record`, tenant, day)
}

// evidenceTables are queries for the rows that an evidence pack has, by the name of its file. The
// columns are named as in the pack; those that end with Us are times. Each query takes the tenant
// and two days. One for all days compares the two with each other, because a query must use all of
// its parameters.
//
//nolint:gochecknoglobals // a table
var evidenceTables = map[string]string{
	"holds": `SELECT id, name, reason, scope, from_day AS "fromDay", to_day AS "toDay", created_us AS "createdUs", created_by AS "createdBy",
		released_us AS "releasedUs", released_by AS "releasedBy", release_reason AS "releaseReason"
		FROM holds WHERE tenant = $1 AND CAST($2 AS TEXT) <= CAST($3 AS TEXT) ORDER BY created_us, id`,
	"held_conversations": `SELECT hold, conversation_id AS "conversationId" FROM hold_conversations WHERE tenant = $1 AND CAST($2 AS TEXT) <= CAST($3 AS TEXT) ORDER BY hold, conversation_id`,
	"erasures": `SELECT id, state, reason, asked_by AS "askedBy", asked_us AS "askedUs", hidden_us AS "hiddenUs", gone_us AS "goneUs", proven_us AS "provenUs",
		waits_us AS "waitsUs", blocked, counts, proof FROM erasures WHERE tenant = $1 AND CAST($2 AS TEXT) <= CAST($3 AS TEXT) ORDER BY id`,
	"deletions": `SELECT key, etag, version_id AS "versionId", size, sha256, cause, subject, queued_us AS "queuedUs", due_us AS "dueUs", tries, last_error AS "lastError"
		FROM deletions WHERE tenant = $1 AND CAST($2 AS TEXT) <= CAST($3 AS TEXT) ORDER BY key`,
	"totals": `SELECT day, NULLIF(hour, -1) AS hour, recordings, line, set_us AS "setUs" FROM totals WHERE tenant = $1 AND day BETWEEN $2 AND $3 ORDER BY day, totals.hour`,
	"archives": `SELECT day, hour, revision, state, object_key AS "objectKey", size, manifest_sha256 AS "manifestSha256", file_count AS "fileCount",
		missing_count AS "missingFileCount", etag, version_id AS "versionId", published_us AS "publishedUs", locked_until_us AS "lockedUntilUs"
		FROM archives WHERE tenant = $1 AND day BETWEEN $2 AND $3 AND state IN ('published', 'superseded', 'retained') ORDER BY day, hour, revision`,
}

// EvidenceTables lists the names of the tables of an evidence pack.
func EvidenceTables() []string {
	return slices.Sorted(maps.Keys(evidenceTables))
}

// EvidenceRows calls fn with each row of such a table, a JSON object. Tables without days have all
// rows of the tenant.
func (c *Catalog) EvidenceRows(ctx context.Context, table, tenant string, from, to domain.Day, fn func(row []byte) error) error {
	return db.Each(ctx, c.db, func(rows *sql.Rows) error {
		row, err := jsonRow(rows)
		if err != nil {
			return err
		}
		return fn(row)
	}, evidenceTables[table], tenant, from, to)
}

// jsonRow gives a row as JSON object, with its columns in their order.
func jsonRow(rows *sql.Rows) ([]byte, error) {
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	out := []byte("{")
	for i, name := range names {
		value := values[i]
		switch v := value.(type) {
		case []byte:
			value = hex.EncodeToString(v)
		case string:
			if name == "counts" || name == "proof" { // JSON, as erasures keep it
				value = json.RawMessage(v)
			}
		case int64:
			if name == "hour" {
				value = domain.HourKey{Hour: int(v)}.HH()
			} else if strings.HasSuffix(name, "Us") {
				name, value = strings.TrimSuffix(name, "Us")+"At", db.FromMicros(v).Format("2006-01-02T15:04:05.000000Z07:00")
			}
		case nil:
			if strings.HasSuffix(name, "Us") {
				name = strings.TrimSuffix(name, "Us") + "At"
			}
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), `":`...)
		out = append(out, text...)
	}
	return append(out, '}'), nil
}

// EvidenceArchive is an archive that an evidence pack can copy.
type EvidenceArchive struct {
	Day            domain.Day
	Hour           int
	Revision       int64
	Size           int64
	ObjectKey      string
	ETag           string
	VersionID      string
	ManifestSHA256 string
}

// EvidenceArchives lists the archives of a tenant's day that are served, or that a hold keeps.
func (c *Catalog) EvidenceArchives(ctx context.Context, tenant string, day domain.Day) ([]EvidenceArchive, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (r EvidenceArchive, err error) {
		err = rows.Scan(&r.Day, &r.Hour, &r.Revision, &r.Size, &r.ObjectKey, &r.ETag, db.OrZero(&r.VersionID), &r.ManifestSHA256)
		return r, err
	}, `SELECT day, hour, revision, size, object_key, etag, version_id, manifest_sha256 FROM archives
		WHERE tenant = $1 AND day = $2 AND state IN ('published', 'retained') ORDER BY hour, revision`, tenant, day)
}
