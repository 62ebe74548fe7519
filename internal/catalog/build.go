package catalog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// Claim is one worker's hold on an hour. Only its token can commit the hour.
type Claim struct {
	domain.HourKey
	Token    string
	Worker   string
	Revision int64 // the one that this build would publish
	At       time.Time
	prefix   string // of its archive's key
}

// ObjectKey is where this build writes its archive.
func (b Claim) ObjectKey() string { return b.ArchiveKey(b.prefix, b.Revision, b.Token) }

// Claim takes a due hour that nobody holds. ok is false when there is nothing to do: not due,
// held by another, past retention, or unknown. Lapsed claims are freed by ReleaseLapsed first.
func (c *Catalog) Claim(ctx context.Context, key domain.HourKey, worker string) (claim Claim, ok bool, err error) {
	token := newToken()
	err = c.update(ctx, func(tx *sql.Tx) error {
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
		claim = Claim{HourKey: key, Token: token, Worker: worker, Revision: revision + 1, At: fromMicros(at), prefix: c.rules.ArchivesPrefix}
		return doomWriting(ctx, tx, key, at)
	})
	if domain.KindOf(err) == domain.KindNotFound { // the tenant is unknown: a task from another life
		return claim, false, nil
	}
	return claim, ok && err == nil, err
}

// doomWriting dooms what earlier builds of a locked hour left behind.
func doomWriting(ctx context.Context, tx *sql.Tx, key domain.HourKey, at int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE archives SET state = 'doomed', delete_after_us = $4
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND state = 'writing'`, key.Tenant, key.Day, key.Hour, at)
	return err
}

func newToken() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	return hex.EncodeToString(b[:])
}

// Renew lengthens the lease. KindLost means that the claim is gone: stop building.
func (c *Catalog) Renew(ctx context.Context, b Claim) error {
	res, err := c.write.ExecContext(ctx, `UPDATE hours SET lease_us = (SELECT now_us FROM catalog_clock) + $5
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND token = $4`, b.Tenant, b.Day, b.Hour, b.Token, c.rules.Lease.Microseconds())
	return lostUnless(affected(res, err))
}

func lostUnless(ok bool, err error) error {
	if err == nil && !ok {
		return domain.Errorf(domain.KindLost, "the claim on this hour is gone")
	}
	return err
}

// BuildInput is what a build archives: one snapshot of the hour.
type BuildInput struct {
	Wanted     int64
	Recordings []BuildRecording
}

// BuildRecording is a recording with the external id of its conversation.
type BuildRecording struct {
	domain.Recording
	ExternalConversationID string
}

// BuildInput reads what the hour wants and every recording of it in one snapshot, so that a
// registration is either in both or in neither.
func (c *Catalog) BuildInput(ctx context.Context, b Claim) (in BuildInput, err error) {
	err = c.view(ctx, func(tx *sql.Tx) error {
		in = BuildInput{}
		err := tx.QueryRowContext(ctx, `SELECT wanted FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3 AND token = $4`,
			b.Tenant, b.Day, b.Hour, b.Token).Scan(&in.Wanted)
		if errors.Is(err, sql.ErrNoRows) {
			return lostUnless(false, nil)
		}
		if err != nil {
			return err
		}
		in.Recordings, err = collect(ctx, tx, scanBuildRecording, `SELECT r.object_key, r.conversation_id, r.session_id, r.message_id,
			r.type, r.ts_us, r.size, r.crc32, r.content_type, coalesce(c.external_id, r.conversation_id)
			FROM recordings r LEFT JOIN conversations c ON c.tenant = r.tenant AND c.id = r.conversation_id
			WHERE r.tenant = $1 AND r.day = $2 AND r.hour = $3`, b.Tenant, b.Day, b.Hour)
		return err
	})
	return in, err
}

func scanBuildRecording(rows *sql.Rows) (r BuildRecording, err error) {
	var at int64
	var size, crc sql.NullInt64
	var contentType sql.NullString
	err = rows.Scan(&r.ObjectKey, &r.ConversationID, &r.SessionID, &r.MessageID, &r.Type, &at, &size, &crc, &contentType,
		&r.ExternalConversationID)
	r.Timestamp, r.ContentType = fromMicros(at), contentType.String
	if size.Valid {
		r.Size = &size.Int64
	}
	if crc.Valid {
		sum := uint32(crc.Int64)
		r.CRC32 = &sum
	}
	return r, err
}

// Size is how many bytes the store says that a recording has.
type Size struct {
	ObjectKey string
	Bytes     int64
}

// MaxSizes is how many sizes can be learnt at once.
const MaxSizes = 1000

// LearnSizes keeps sizes that the store told, for recordings that came without one: at most [MaxSizes].
func (c *Catalog) LearnSizes(ctx context.Context, b Claim, sizes []Size) error {
	if len(sizes) == 0 {
		return nil
	}
	rows := make([]string, len(sizes))
	args := []any{b.Tenant, b.Day}
	for i, s := range sizes {
		rows[i] = fmt.Sprintf("(CAST($%d AS TEXT), CAST($%d AS BIGINT))", len(args)+1, len(args)+2)
		args = append(args, s.ObjectKey, s.Bytes)
	}
	_, err := c.write.ExecContext(ctx, `UPDATE recordings SET size = s.column2 FROM (VALUES `+strings.Join(rows, ", ")+`) s
		WHERE tenant = $1 AND day = $2 AND object_key = s.column1 AND size IS NULL`, args...)
	return translate(err)
}

// StartArchive makes the archive's row, before its first byte is sent.
func (c *Catalog) StartArchive(ctx context.Context, b Claim) error {
	return c.owned(ctx, b, func(tx *sql.Tx, d lockedDay) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO archives (object_key, tenant, day, hour, revision, token, state, created_us)
			VALUES ($1, $2, $3, $4, $5, $6, 'writing', $7) ON CONFLICT (object_key) DO NOTHING`,
			b.ObjectKey(), b.Tenant, b.Day, b.Hour, b.Revision, b.Token, d.at)
		return err
	})
}

// SetUpload remembers the multipart upload that the archive's bytes go to.
func (c *Catalog) SetUpload(ctx context.Context, b Claim, uploadID string) error {
	res, err := c.write.ExecContext(ctx, `UPDATE archives SET upload_id = $2 WHERE object_key = $1 AND state = 'writing'`, b.ObjectKey(), uploadID)
	return lostUnless(affected(res, err))
}

// owned runs fn with the day locked and within retention and the claim verified.
func (c *Catalog) owned(ctx context.Context, b Claim, fn func(tx *sql.Tx, d lockedDay) error) error {
	return c.held(ctx, b, func(tx *sql.Tx, d lockedDay) error {
		if !d.open {
			return lostUnless(false, nil)
		}
		return fn(tx, d)
	})
}

// held runs fn with the day locked and the claim verified. A day past its end still has claims
// while expiry pauses: they can be given back, not committed.
func (c *Catalog) held(ctx context.Context, b Claim, fn func(tx *sql.Tx, d lockedDay) error) error {
	return c.update(ctx, func(tx *sql.Tx) error {
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

// Built is what a finished build tells the catalog.
type Built struct {
	Wanted         int64 // as BuildInput gave it
	Size           int64
	Files          int
	Sessions       []domain.Session
	Missing        []Missing
	ManifestSHA256 string
	ETag           string
	Took           time.Duration
}

// Commit publishes a build: one transaction in which the claim must still be ours and the day
// within retention. KindLost: nothing was published. KindUnavailable: unclear, ask Published.
func (c *Catalog) Commit(ctx context.Context, b Claim, r Built) error {
	if err := c.saveSessions(ctx, b, r.Sessions); err != nil {
		return err
	}
	missing, err := json.Marshal(append([]Missing{}, r.Missing...))
	if err != nil {
		return err
	}
	return c.owned(ctx, b, func(tx *sql.Tx, d lockedDay) error {
		at, room := d.at, c.room(r.Took.Microseconds())
		ok, err := affected(tx.ExecContext(ctx, `UPDATE archives SET state = 'published', published_us = $2, checked_us = $2, size = $3, file_count = $4,
			session_count = $5, missing = $6, missing_count = $7, manifest_sha256 = $8, etag = $9, upload_id = NULL
			WHERE object_key = $1 AND state = 'writing'`, b.ObjectKey(), at, r.Size, r.Files, len(r.Sessions), string(missing),
			len(r.Missing), r.ManifestSHA256, r.ETag))
		if err != nil {
			return err
		}
		if !ok {
			return lostUnless(false, nil)
		}
		if err := c.supersede(ctx, tx, b.HourKey, at); err != nil {
			return err
		}
		var recheck any
		if len(r.Missing) > 0 {
			recheck = c.nextLook(d, r.Missing, 0, r.Took.Microseconds())
		}
		if _, err = tx.ExecContext(ctx, `UPDATE hours SET state = 'available', revision = $4, archive = $5, built = $6, token = NULL, lease_us = NULL,
			failures = 0, lapses = 0, last_error = NULL, last_kind = NULL, failed_us = NULL, build_us = $7, dispatched_us = NULL,
			due_us = CASE WHEN wanted = $6 THEN NULL ELSE CAST($8 AS BIGINT) END, recheck_us = $9, recheck_step = 0
			WHERE tenant = $1 AND day = $2 AND hour = $3`,
			b.Tenant, b.Day, b.Hour, b.Revision, b.ObjectKey(), r.Wanted, r.Took.Microseconds(), d.dueAfter(room, 0, room), recheck); err != nil {
			return err
		}
		if err := keepFailedFiles(ctx, tx, b.HourKey, nil); err != nil {
			return err
		}
		if err := announceHour(ctx, tx, b, r, at); err != nil {
			return err
		}
		return refreshServed(ctx, tx, b.Tenant, b.Day, at)
	})
}

// supersede retires the archive that a locked hour served until now.
func (c *Catalog) supersede(ctx context.Context, tx *sql.Tx, key domain.HourKey, at int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE archives SET state = 'superseded',
		delete_after_us = CASE WHEN links_until_us > $4 THEN links_until_us ELSE $4 END + $5
		WHERE object_key = (SELECT archive FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3) AND state = 'published'`,
		key.Tenant, key.Day, key.Hour, at, c.rules.Grace.Microseconds())
	return err
}

// saveSessions writes the archive's sessions while nobody sees it yet.
func (c *Catalog) saveSessions(ctx context.Context, b Claim, sessions []domain.Session) error {
	const chunk = 500
	for len(sessions) > 0 {
		n := min(chunk, len(sessions))
		args := make([]any, 0, 2*n)
		for _, s := range sessions[:n] {
			args = append(args, b.ObjectKey(), sessionName(s))
		}
		err := c.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO archive_sessions (object_key, session_id) VALUES `+placeholders(n, 2)+
				` ON CONFLICT DO NOTHING`, args...)
			return err
		})
		if err != nil {
			return err
		}
		sessions = sessions[n:]
	}
	return nil
}

// sessionName tells one session of a day from every other. It stands where former versions write
// the session's id alone, and as theirs it is counted, so that replicas of both agree on a day's total.
func sessionName(s domain.Session) string {
	return fmt.Sprintf("%d:%s%s", len(s.ExternalConversationID), s.ExternalConversationID, s.SessionID)
}

// Published says whether this claim's archive was committed: what to ask after any error of Commit
// but KindLost. It waits for the day's lock, which a Commit whose answer was lost may still hold, so
// false means that it did not come through and only a claim that still stands could repeat it.
func (c *Catalog) Published(ctx context.Context, b Claim) (bool, error) {
	var n int
	err := c.update(ctx, func(tx *sql.Tx) error {
		if _, err := lockDay(ctx, tx, b.Tenant, b.Day); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM archives WHERE object_key = $1 AND published_us IS NOT NULL`,
			b.ObjectKey()).Scan(&n)
	})
	return n > 0, err
}

// CommitEmpty ends a build that found no recording at all: the hour has no data. An archive that it
// served holds recordings that were corrected and lie in other hours by now: it is retired, as a
// revision of its own.
func (c *Catalog) CommitEmpty(ctx context.Context, b Claim, wanted int64) error {
	return c.owned(ctx, b, func(tx *sql.Tx, d lockedDay) error {
		at, room := d.at, c.room(0)
		if err := doomWriting(ctx, tx, b.HourKey, at); err != nil {
			return err
		}
		var served, newer bool
		if err := tx.QueryRowContext(ctx, `SELECT archive IS NOT NULL, wanted <> $4 FROM hours WHERE tenant = $1 AND day = $2 AND hour = $3`,
			b.Tenant, b.Day, b.Hour, wanted).Scan(&served, &newer); err != nil {
			return err
		}
		if served && !newer {
			if err := c.retire(ctx, tx, b, at); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE hours SET state = CASE WHEN archive IS NOT NULL THEN 'available'
				WHEN wanted = $4 THEN 'no_data' ELSE 'pending' END,
			built = $4, due_us = CASE WHEN wanted = $4 THEN NULL ELSE CAST($5 AS BIGINT) END, token = NULL, lease_us = NULL, dispatched_us = NULL,
			failures = 0, lapses = 0, last_error = NULL, last_kind = NULL, failed_us = NULL
			WHERE tenant = $1 AND day = $2 AND hour = $3`, b.Tenant, b.Day, b.Hour, wanted, d.dueAfter(room, 0, room)); err != nil {
			return err
		}
		if err := keepFailedFiles(ctx, tx, b.HourKey, nil); err != nil {
			return err
		}
		return refreshServed(ctx, tx, b.Tenant, b.Day, at)
	})
}

// retire ends the archive of a locked hour in which nothing is left.
func (c *Catalog) retire(ctx context.Context, tx *sql.Tx, b Claim, at int64) error {
	if err := c.supersede(ctx, tx, b.HourKey, at); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE hours SET archive = NULL, revision = $4, recheck_us = NULL WHERE tenant = $1 AND day = $2 AND hour = $3`,
		b.Tenant, b.Day, b.Hour, b.Revision); err != nil {
		return err
	}
	return announceHour(ctx, tx, b, Built{}, at)
}
