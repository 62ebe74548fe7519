package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/catalog/deletions"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Reserved is what is known of an object key before its bytes are uploaded.
type Reserved struct {
	Day       domain.Day // its recording's day; "" if none is registered
	Size      *int64     // the size that it must have; nil if unknown
	CRC32     *uint32    // the checksum that it must have; nil if unknown
	SHA256    *domain.SHA256
	Corrected bool  // an operator corrected its recording, so the line's values do not count
	Erased    bool  // its recording was erased: the key is not reserved, and its bytes must not be stored
	Since     int64 // for [Upload]: when the key was first named, which tells its row from a later one
}

// staleUpload is the age at which an upload that did not end is forgotten. The next upload of its
// key counts as the first that names it.
const staleUpload = 24 * time.Hour

// ReserveUpload makes the tenant the owner of the key, before any byte of it is stored. Errors:
// KindNotFound for an unknown tenant, KindForbidden for a closed one, KindEnding for a key whose
// former object is being deleted. It is KindInvalid for a key of another tenant, and for one that
// the tenant may not name because of a key prefix.
func (c *Catalog) ReserveUpload(ctx context.Context, tenant, key string) (Reserved, error) {
	var out Reserved
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		out = Reserved{}
		erasures, err := requireOpen(ctx, tx, tenant)
		if err != nil {
			return err
		}
		if err := c.checkPrefix(ctx, tx, tenant, key); err != nil {
			return err
		}
		var owner string
		err = tx.QueryRowContext(ctx, `INSERT INTO objects (key, tenant, named_us) VALUES ($1, $2, (SELECT now_us FROM catalog_clock))
			ON CONFLICT (key) DO UPDATE SET named_us = CASE WHEN objects.size IS NULL AND objects.day IS NULL AND objects.named_us <= excluded.named_us - $3
				THEN excluded.named_us ELSE coalesce(objects.named_us, excluded.named_us) END
			RETURNING tenant, day, size, crc32, sha256, named_us`, key, tenant, staleUpload.Microseconds()).
			Scan(&owner, db.OrZero(&out.Day), &out.Size, &out.CRC32, &out.SHA256, &out.Since)
		if err != nil {
			return err
		}
		left, err := deletions.LeftOfOthers(ctx, tx, tenant, key)
		if err != nil {
			return err
		}
		if left || owner != tenant {
			return domain.Errorf(domain.KindInvalid, "%s", otherTenantReason("the object key"))
		}
		if out.Day == "" { // the row is locked, so an erasure of the key is seen here or waits for it
			if out.Erased, err = c.erasedKey(ctx, tx, tenant, key, erasures); err != nil {
				return err
			}
			if out.Erased {
				_, err = tx.ExecContext(ctx, `DELETE FROM objects WHERE key = $1`, key)
				return err
			}
		}
		if err := refuseEnding(ctx, tx, tenant, key, out.Day); err != nil || out.Day == "" {
			return err
		}
		// The registered values go before those of a former upload, whose object may be gone.
		err = tx.QueryRowContext(ctx, `SELECT coalesce(r.size, o.size), coalesce(r.crc32, o.crc32), coalesce(r.sha256, o.sha256), f.object_key IS NOT NULL
			FROM recordings r JOIN objects o ON o.key = r.object_key LEFT JOIN corrected_recordings f ON f.object_key = r.object_key
			WHERE r.tenant = $1 AND r.day = $2 AND r.object_key = $3`, tenant, out.Day, key).Scan(&out.Size, &out.CRC32, &out.SHA256, &out.Corrected)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return out, err
}

// Upload is an object in the recordings bucket.
type Upload struct {
	Key   string
	Size  int64
	CRC32 uint32
	New   bool // its bytes were written now; false if they were there before

	// Since is the Since of its reservation. If the key's row was removed after that, the key's
	// bytes may have been deleted after they were compared, even if there is a new row.
	Since int64

	// SHA256 of the object, and the ETag that the object had; nil and "" where the stored bytes
	// were neither written nor read.
	SHA256 *domain.SHA256
	ETag   string
}

// RegisterUpload stores the size and the sums of uploaded bytes and raises the wanted counter of
// their recording's hour, so that a missing file is archived. A repetition for bytes that were
// there before only stores a SHA-256 that was not known, unless they were missing in the last build
// of their hour. In that case they were lost, and the process that stored them again ended before
// it called RegisterUpload. Bytes whose recording was erased during the upload are queued for
// deletion. Error: KindConflict when the key is not reserved any more, and when a line that came
// meanwhile tells of other bytes: nothing is changed then.
func (c *Catalog) RegisterUpload(ctx context.Context, tenant string, u Upload) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		var day domain.Day
		var size *int64
		var crc *uint32
		err := tx.QueryRowContext(ctx, `UPDATE objects SET tenant = tenant WHERE key = $1 AND tenant = $2 AND named_us = $3 RETURNING day, size, crc32`,
			u.Key, tenant, u.Since).Scan(db.OrZero(&day), &size, &crc)
		if errors.Is(err, sql.ErrNoRows) {
			return c.dropErased(ctx, tx, tenant, u)
		}
		if err != nil {
			return err
		}
		repeated := false
		if !u.New && same(size, &u.Size) && same(crc, &u.CRC32) {
			missing, err := builtWithout(ctx, tx, tenant, day, u.Key)
			if err != nil || !missing && u.SHA256 == nil {
				return err
			}
			repeated = !missing
		}
		if err := lookAgain(ctx, tx, tenant, u.Key); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE objects SET size = $2, crc32 = $3,
			sha256 = coalesce($4, CASE WHEN size = $2 AND crc32 = $3 THEN sha256 END),
			etag = coalesce($5, CASE WHEN size = $2 AND crc32 = $3 THEN etag END) WHERE key = $1`,
			u.Key, u.Size, int64(u.CRC32), u.SHA256, db.OrNull(u.ETag)); err != nil {
			return err
		}
		hour, known, err := registerBytes(ctx, tx, tenant, day, u)
		if err != nil || !known || repeated {
			return err
		}
		_, err = c.raiseWanted(ctx, tx, nil, []domain.HourKey{{Tenant: tenant, Day: day, Hour: hour}}, nil)
		return err
	})
}

// registerBytes gives a recording the size and sums of its uploaded bytes, as far as they are not
// known. known is false if no line has named the key. Error: KindConflict.
func registerBytes(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, u Upload) (hour int, known bool, err error) {
	var size int64
	var crc uint32
	var sum *domain.SHA256
	err = tx.QueryRowContext(ctx, `UPDATE recordings SET size = coalesce(size, $4), crc32 = coalesce(crc32, $5), sha256 = coalesce(sha256, $6),
			sha256_origin = CASE WHEN sha256 IS NULL AND $6 IS NOT NULL THEN $8 ELSE sha256_origin END,
			etag = CASE WHEN $6 IS NOT NULL THEN $7 ELSE etag END
		WHERE tenant = $1 AND day = $2 AND object_key = $3 RETURNING hour, size, crc32, sha256`,
		tenant, day, u.Key, u.Size, int64(u.CRC32), u.SHA256, db.OrNull(u.ETag), domain.SumUpload).Scan(&hour, &size, &crc, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err == nil && (size != u.Size || crc != u.CRC32 || domain.Differ(sum, u.SHA256)) {
		err = domain.Errorf(domain.KindConflict, "The recording that names this object key says otherwise: size, CRC-32 or SHA-256 differ. "+
			"If the stored bytes are right, an operator corrects the recording (callvault recording correct).")
	}
	return hour, true, err
}

// NamesObject says whether something of the tenant names an object key.
func (c *Catalog) NamesObject(ctx context.Context, tenant, key string) (named bool, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM objects WHERE key = $1 AND tenant = $2)`, key, tenant).Scan(&named)
	return named, err
}
