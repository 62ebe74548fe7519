package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Claim is one worker's claim on an hour. Only its token can commit the hour.
type Claim struct {
	domain.HourKey
	Token    string
	Worker   string
	Revision int64 // the revision that this build would publish
	At       time.Time
	DayEnd   time.Time // when the day's retention ends; of a day that is not settled, if it is settled now
	prefix   string    // of its archive's key

	// LockUntil is until when the archive's object will be locked. It is zero where archives are
	// not locked. The builder sets it before [Catalog.StartArchive].
	LockUntil time.Time
}

// ObjectKey is where this build writes its archive.
func (b Claim) ObjectKey() string { return b.ArchiveKey(b.prefix, b.Revision, b.Token) }

// Claim claims a due hour that no worker holds. ok is false when the hour is not due, claimed by
// another worker, past retention or unknown. A lapsed claim must first be released by
// ReleaseLapsed.
func (c *Catalog) Claim(ctx context.Context, key domain.HourKey, worker string) (claim Claim, ok bool, err error) {
	token := domain.NewToken()
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		ok = false
		d, err := lockOpenDay(ctx, tx, key.Tenant, key.Day)
		if err != nil || !d.open {
			return err
		}
		at := d.at
		var revision int64
		err = tx.QueryRowContext(ctx, `UPDATE hours SET token = $4, worker = $5, claimed_us = $6, lease_us = $7, trace = NULL
			WHERE tenant = $1 AND day = $2 AND hour = $3 AND planned AND due_us <= $6 AND token IS NULL
			RETURNING revision`, key.Tenant, key.Day, key.Hour, token, worker, at, at+c.rules.Lease.Microseconds()).Scan(&revision)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ok = true
		claim = Claim{HourKey: key, Token: token, Worker: worker, Revision: revision + 1, At: db.FromMicros(at), DayEnd: db.FromMicros(d.lastEnd), prefix: c.rules.ArchivesPrefix}
		return doomWriting(ctx, tx, key, at)
	})
	if domain.KindOf(err) == domain.KindNotFound { // the task is older than this catalog
		return claim, false, nil
	}
	return claim, ok && err == nil, err
}

// doomWriting dooms unfinished archives that earlier builds of a locked hour left.
func doomWriting(ctx context.Context, tx *db.Tx, key domain.HourKey, at int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE archives SET state = 'doomed', cause = 'unfinished', delete_after_us = $4
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND state = 'writing'`, key.Tenant, key.Day, key.Hour, at)
	return err
}

// Renew extends the lease. Error: KindLost when the claim is gone; the build must stop then.
func (c *Catalog) Renew(ctx context.Context, b Claim) error {
	return lostUnless(db.Affected(c.db.ExecContext(ctx, `UPDATE hours SET lease_us = (SELECT now_us FROM catalog_clock) + $5
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND token = $4`, b.Tenant, b.Day, b.Hour, b.Token, c.rules.Lease.Microseconds())))
}

func lostUnless(ok bool, err error) error {
	if err == nil && !ok {
		return domain.Errorf(domain.KindLost, "the claim on this hour is gone")
	}
	return err
}

// BuildInput is one snapshot of the hour, which a build archives.
type BuildInput struct {
	Wanted     int64
	Recordings []BuildRecording
	Former     *FormerArchive // the hour does not serve it any more, but has its bytes; nil for none
}

// FormerArchive is an archive that its hour does not serve any more, and whose bytes are still
// there.
type FormerArchive struct {
	ObjectKey string
	Size      int64
	ETag      string
	VersionID string // "" in a bucket that keeps no versions
	Broken    bool   // its bytes were found not to be those that were published
}

// BuildRecording is a recording and its conversation's external id. It has no content type and no
// origin of its sum.
type BuildRecording struct {
	domain.Recording
	ExternalConversationID string
}

// BuildInput reads the hour's wanted counter and all its recordings in one snapshot, so that a
// registration is either in both or in neither.
func (c *Catalog) BuildInput(ctx context.Context, b Claim) (in BuildInput, err error) {
	err = c.db.View(ctx, func(tx *db.Tx) error {
		in = BuildInput{}
		err := tx.QueryRowContext(ctx, `SELECT wanted FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3 AND token = $4`,
			b.Tenant, b.Day, b.Hour, b.Token).Scan(&in.Wanted)
		if errors.Is(err, sql.ErrNoRows) {
			return lostUnless(false, nil)
		}
		if err != nil {
			return err
		}
		in.Recordings, err = db.Collect(ctx, tx, scanBuildRecording, `SELECT r.object_key, r.conversation_id, r.session_id, r.message_id,
			r.type, r.ts_us, r.size, r.crc32, r.sha256, r.etag, coalesce(c.external_id, r.conversation_id)
			FROM recordings r LEFT JOIN conversations c ON c.tenant = r.tenant AND c.id = r.conversation_id
			WHERE r.tenant = $1 AND r.day = $2 AND r.hour = $3
			AND NOT EXISTS (SELECT 1 FROM endings e WHERE e.tenant = r.tenant AND e.conversation_id = r.conversation_id)`, b.Tenant, b.Day, b.Hour)
		if err != nil {
			return err
		}
		in.Former, err = formerArchive(ctx, tx, b.HourKey)
		return err
	})
	return in, err
}

func scanBuildRecording(rows *sql.Rows) (r BuildRecording, err error) {
	err = rows.Scan(&r.ObjectKey, &r.ConversationID, &r.SessionID, &r.MessageID, &r.Type, db.Time(&r.Timestamp), &r.Size, &r.CRC32,
		&r.SHA256, db.OrZero(&r.ETag), &r.ExternalConversationID)
	return r, err
}

// ObjectSize is the size that the store gives for a recording's object.
type ObjectSize struct {
	ObjectKey string
	Bytes     int64
}

// MaxSizes is how many sizes SaveSizes takes.
const MaxSizes = 1000

// SaveSizes stores the sizes of recordings that were registered without one: at most [MaxSizes].
func (c *Catalog) SaveSizes(ctx context.Context, b Claim, sizes []ObjectSize) error {
	if len(sizes) == 0 {
		return nil
	}
	rows := make([]string, len(sizes))
	args := []any{b.Tenant, b.Day}
	for i, s := range sizes {
		rows[i] = fmt.Sprintf("(CAST($%d AS TEXT), CAST($%d AS BIGINT))", len(args)+1, len(args)+2)
		args = append(args, s.ObjectKey, s.Bytes)
	}
	return c.db.Update(ctx, func(tx *db.Tx) error { // a registration may lock the rows in another order
		_, err := tx.ExecContext(ctx, `UPDATE recordings SET size = s.column2 FROM (VALUES `+strings.Join(rows, ", ")+`) s
			WHERE tenant = $1 AND day = $2 AND object_key = s.column1 AND size IS NULL`, args...)
		return err
	})
}

// StartArchive inserts the archive's row. It must be called before the first byte is sent.
func (c *Catalog) StartArchive(ctx context.Context, b Claim) error {
	return c.withOpenClaim(ctx, b, func(tx *db.Tx, d lockedDay) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO archives (object_key, tenant, day, hour, revision, token, state, created_us, locked_until_us)
			VALUES ($1, $2, $3, $4, $5, $6, 'writing', $7, $8) ON CONFLICT (object_key) DO NOTHING`,
			b.ObjectKey(), b.Tenant, b.Day, b.Hour, b.Revision, b.Token, d.at, orNull(b.LockUntil))
		return err
	})
}

// SetUpload stores the id of the archive's multipart upload.
func (c *Catalog) SetUpload(ctx context.Context, b Claim, uploadID string) error {
	return lostUnless(db.Affected(c.db.ExecContext(ctx, `UPDATE archives SET upload_id = $2 WHERE object_key = $1 AND state = 'writing'`,
		b.ObjectKey(), uploadID)))
}

// withOpenClaim is withClaim for a day within retention only.
func (c *Catalog) withOpenClaim(ctx context.Context, b Claim, fn func(tx *db.Tx, d lockedDay) error) error {
	return c.withClaim(ctx, b, func(tx *db.Tx, d lockedDay) error {
		if !d.open {
			return lostUnless(false, nil)
		}
		return fn(tx, d)
	})
}

// withClaim locks the day, verifies the claim and runs fn. A day past its end still has claims
// while expiry pauses. They can be released, but not committed.
func (c *Catalog) withClaim(ctx context.Context, b Claim, fn func(tx *db.Tx, d lockedDay) error) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		d, err := lockOpenDay(ctx, tx, b.Tenant, b.Day)
		if err != nil {
			return err
		}
		var held int
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3 AND token = $4`,
			b.Tenant, b.Day, b.Hour, b.Token).Scan(&held)
		if err != nil {
			return err
		}
		if d.expired || held == 0 {
			return lostUnless(false, nil)
		}
		return fn(tx, d)
	})
}
