package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// LearntSum is the SHA-256 of a recording's bytes as callvault computed it from a whole object.
type LearntSum struct {
	ObjectKey string
	Size      int64
	CRC32     uint32
	SHA256    domain.SHA256
	ETag      string // of the object that all bytes were read from; "" when the store has none
}

// MaxSums is how many sums LearnSums takes.
const MaxSums = 1000

// LearnSums stores the sums of a day's recordings that had none, with who computed them: a
// domain.Sum constant. Of one that had a sum it stores the ETag. It changes no recording that has
// another sum, nor one that was corrected to another size or CRC-32 while its bytes were read. It
// takes at most [MaxSums].
func (c *Catalog) LearnSums(ctx context.Context, tenant string, day domain.Day, origin string, sums []LearntSum) error {
	if len(sums) == 0 {
		return nil
	}
	rows := make([][]any, 0, len(sums))
	for _, s := range sums {
		rows = append(rows, []any{tenant, string(day), s.ObjectKey, s.Size, int64(s.CRC32), s.SHA256, db.OrNull(s.ETag)})
	}
	return c.db.Update(ctx, func(tx *db.Tx) error { // a registration may lock the rows in another order
		if err := (stager{tx, map[string]bool{}}).fill(ctx, sumStage(), rows); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, learnSumsSQL, origin)
		return err
	})
}

func sumStage() stage {
	return stage{"stage_sums", "recordings", []string{"tenant", "day", "object_key", "size", "crc32", "sha256", "etag"}}
}

// learnSumsSQL takes tenant and day only from the stage. SQLite would otherwise look up each of the
// day's recordings in the stage.
const learnSumsSQL = `UPDATE recordings SET sha256 = s.sha256, etag = s.etag, sha256_origin = coalesce(recordings.sha256_origin, CAST($1 AS TEXT))
	FROM stage_sums s WHERE recordings.tenant = s.tenant AND recordings.day = s.day AND recordings.object_key = s.object_key
		AND (recordings.sha256 IS NULL OR recordings.sha256 = s.sha256)
		AND coalesce(recordings.size, s.size) = s.size AND coalesce(recordings.crc32, s.crc32) = s.crc32`

// KnownSum gives the SHA-256 that an object of the tenant must have; nil when callvault does not
// know one.
func (c *Catalog) KnownSum(ctx context.Context, tenant, key string) (sum *domain.SHA256, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT coalesce(r.sha256, o.sha256) FROM objects o
		LEFT JOIN recordings r ON r.tenant = o.tenant AND r.day = o.day AND r.object_key = o.key
		WHERE o.key = $1 AND o.tenant = $2`, key, tenant).Scan(&sum)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return sum, err
}

// ActionMismatch is the audit log's action of recordings whose bytes were found to have another
// checksum than callvault knows.
const ActionMismatch = "recording.mismatch"

// WorkerOrigin is the origin of audit lines about what a worker found.
func WorkerOrigin() audit.Origin { return audit.Origin{Actor: "worker"} }

// maxMismatches is how many recordings one audit line names.
const maxMismatches = 100

// mismatchDetail is the detail of a line about recordings of one hour.
type mismatchDetail struct {
	Reader     string     `json:"reader"`
	Day        domain.Day `json:"day,omitempty"`
	Hour       string     `json:"hour,omitempty"`
	Count      int        `json:"count"`
	Recordings []mismatch `json:"recordings"` // the first of them
	audit.Origin
}

type mismatch struct {
	Object string         `json:"object"`
	Known  *domain.SHA256 `json:"sha256,omitempty"`
	Origin string         `json:"sha256Origin,omitempty"` // who gave the known sum
	Found  *domain.SHA256 `json:"found,omitempty"`
}

// AuditMismatch writes a line into the audit log about an object whose bytes have another SHA-256
// than callvault knows: one an hour for each object, actor and reader, a domain.Reader constant.
func (c *Catalog) AuditMismatch(ctx context.Context, o audit.Origin, tenant, reader, key string, found domain.SHA256) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		d := mismatchDetail{Reader: reader, Origin: o}
		var hour sql.NullInt64
		err = tx.QueryRowContext(ctx, `SELECT o.day, r.hour FROM objects o
			LEFT JOIN recordings r ON r.tenant = o.tenant AND r.day = o.day AND r.object_key = o.key WHERE o.key = $1 AND o.tenant = $2`,
			key, tenant).Scan(db.OrZero(&d.Day), &hour)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if hour.Valid {
			d.Hour = domain.HourKey{Hour: int(hour.Int64)}.HH()
		}
		return auditMismatches(ctx, tx, at, tenant, d, []MissingFile{{ObjectKey: key, Reason: ReasonChecksum, SHA256: &found}})
	})
}

// auditMissing writes a line into the audit log when recordings are missing in a build because of
// their checksums.
func auditMissing(ctx context.Context, tx *db.Tx, at int64, k domain.HourKey, missing []MissingFile) error {
	return auditMismatches(ctx, tx, at, k.Tenant, mismatchDetail{Reader: domain.ReaderBuild, Day: k.Day, Hour: k.HH(), Origin: WorkerOrigin()}, missing)
}

// auditMismatches writes the line about those of the missing recordings that have other checksums,
// unless the same line was written within the hour.
func auditMismatches(ctx context.Context, tx *db.Tx, at int64, tenant string, d mismatchDetail, missing []MissingFile) error {
	subject := strings.Builder{}
	fmt.Fprint(&subject, d.Reader, " ", d.Day, " ", d.Hour)
	for _, m := range missing {
		if m.Reason != ReasonChecksum {
			continue
		}
		fmt.Fprintf(&subject, " %q", m.ObjectKey)
		if d.Count++; d.Count > maxMismatches {
			continue
		}
		one := mismatch{Object: m.ObjectKey, Found: m.SHA256}
		err := tx.QueryRowContext(ctx, `SELECT coalesce(r.sha256, o.sha256), CASE WHEN r.sha256 IS NOT NULL THEN r.sha256_origin WHEN o.sha256 IS NOT NULL THEN $3 END
			FROM objects o LEFT JOIN recordings r ON r.tenant = o.tenant AND r.day = o.day AND r.object_key = o.key
			WHERE o.key = $1 AND o.tenant = $2`, m.ObjectKey, tenant, domain.SumUpload).Scan(&one.Known, db.OrZero(&one.Origin))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		d.Recordings = append(d.Recordings, one)
	}
	if d.Count == 0 {
		return nil
	}
	return d.Origin.AppendOnce(ctx, tx, at, tenant, ActionMismatch, subject.String(), d)
}
