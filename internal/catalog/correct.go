package catalog

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ActionCorrect is the audit log's action of a corrected recording.
const ActionCorrect = "recording.correct"

// Correction is an operator's change of a registered recording. Fields that are nil stay as they
// are.
type Correction struct {
	Tenant         string
	ObjectKey      string
	Reason         string // for the audit log
	ConversationID *string
	SessionID      *string
	MessageID      *int64
	Type           *string
	Timestamp      *time.Time
	Size           *int64
	CRC32          *uint32
	SHA256         *domain.SHA256
	Origin         audit.Origin
}

// applyTo gives the corrected recording.
func (k *Correction) applyTo(r domain.Recording) domain.Recording {
	setIfGiven(&r.ConversationID, k.ConversationID)
	setIfGiven(&r.SessionID, k.SessionID)
	setIfGiven(&r.MessageID, k.MessageID)
	setIfGiven(&r.Type, k.Type)
	setIfGiven(&r.Timestamp, k.Timestamp)
	if size, crc := cmp.Or(k.Size, r.Size), cmp.Or(k.CRC32, r.CRC32); domain.Differ(r.Size, size) || domain.Differ(r.CRC32, crc) {
		r.ETag = ""
		if r.SHA256Origin != domain.SumLine && r.SHA256Origin != domain.SumCorrection { // it is of the bytes before
			r.SHA256, r.SHA256Origin = nil, ""
		}
	}
	r.Size, r.CRC32 = cmp.Or(k.Size, r.Size), cmp.Or(k.CRC32, r.CRC32)
	if k.SHA256 != nil && !same(r.SHA256, k.SHA256) {
		r.SHA256, r.SHA256Origin, r.ETag = k.SHA256, domain.SumCorrection, ""
	}
	return r
}

func setIfGiven[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// empty says whether there is nothing to correct.
func (k *Correction) empty() bool {
	return k.ConversationID == nil && k.SessionID == nil && k.MessageID == nil && k.Type == nil && k.Timestamp == nil && k.Size == nil && k.CRC32 == nil && k.SHA256 == nil
}

// Corrected is the result of a correction.
type Corrected struct {
	ObjectKey string            `json:"objectKey"`
	Changed   map[string]fromTo `json:"changed"`      // by the fields of its line; empty when nothing differs
	Hours     []CorrectedHour   `json:"rebuiltHours"` // the hours that had it before and have it now
}

// CorrectedHour is an hour that is rebuilt because of a correction.
type CorrectedHour struct {
	Day  domain.Day `json:"day"`
	Hour string     `json:"hour"` // "00" to "23"
}

type correctDetail struct {
	Object  string            `json:"object"`
	Reason  string            `json:"reason"`
	Changed map[string]fromTo `json:"changed"`
	Hours   []CorrectedHour   `json:"hours"`
	audit.Origin
}

// Correct changes a registered recording, with a line in the audit log, and makes the affected
// hours due. The line that registered the recording may be sent again, and changes nothing.
//
// A correction may contradict the size and checksums that callvault computed from uploaded bytes,
// because the object may have been replaced in the bucket. It must give size and CRC-32 then, so
// that a mistake in one of them has no effect. A SHA-256 that callvault computed goes, unless the
// correction gives one. Wrong bytes are never archived, because each build compares the bytes that
// it reads.
//
// A recording that a hold covers stays in its conversation and its hour.
//
// Errors: KindNotFound (tenant, recording), KindInvalid (nothing to correct, no reason),
// KindExpired (its new day has ended), KindConflict (only one of size and checksum contradicts
// uploaded bytes; a hold covers it).
func (c *Catalog) Correct(ctx context.Context, k Correction) (out Corrected, err error) {
	if k.Reason == "" {
		return out, domain.Errorf(domain.KindInvalid, "the reason is missing; give one, the audit log keeps it")
	}
	if k.empty() {
		return out, domain.Errorf(domain.KindInvalid, "nothing to correct; give at least one of conversation, session, message id, type, timestamp, size, CRC-32, SHA-256")
	}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		out, err = c.correct(ctx, tx, k)
		return err
	})
	return out, err
}

func (c *Catalog) correct(ctx context.Context, tx *db.Tx, k Correction) (out Corrected, err error) {
	before, bytes, err := c.lockRecording(ctx, tx, k)
	if err != nil {
		return out, err
	}
	after := k.applyTo(before)
	out = Corrected{ObjectKey: k.ObjectKey, Changed: changedFields(before, after), Hours: []CorrectedHour{}}
	if len(out.Changed) == 0 {
		return out, nil
	}
	otherBytes := domain.Differ(bytes.Size, after.Size) || domain.Differ(bytes.CRC32, after.CRC32) || domain.Differ(bytes.SHA256, after.SHA256)
	bytesGiven := k.Size != nil || k.CRC32 != nil || k.SHA256 != nil
	if otherBytes && bytesGiven && (k.Size == nil || k.CRC32 == nil) {
		return out, domain.Errorf(domain.KindConflict, "%s were uploaded under this object key; to correct the recording to other bytes, give both size and CRC-32", bytes.text())
	}
	from, to := domain.HourOf(k.Tenant, before.Timestamp), domain.HourOf(k.Tenant, after.Timestamp)
	if from != to || before.ConversationID != after.ConversationID {
		if err := refuseMove(ctx, tx, k.Tenant, before.ConversationID); err != nil {
			return out, err
		}
	}
	at, ended, err := lockHours(ctx, tx, from, to)
	if err != nil {
		return out, err
	}
	if k.Timestamp != nil && after.Timestamp.Sub(db.FromMicros(at)) > farAhead {
		return out, domain.Errorf(domain.KindInvalid, "the timestamp is more than a day ahead of callvault's clock")
	}
	if ended[to.Day] {
		return out, domain.Errorf(domain.KindExpired, "%s is past the retention of tenant %s; reopen it first (callvault archive --tenant %s --day %s --reopen)",
			to.Day, k.Tenant, k.Tenant, to.Day)
	}
	touched := []domain.HourKey{to}
	var fresh, left []domain.HourKey
	if from != to && !ended[from.Day] {
		touched = []domain.HourKey{from, to}
		left = touched[:1]
	}
	if from != to {
		fresh = []domain.HourKey{to}
	}
	if err := writeCorrection(ctx, tx, k.Tenant, before, after); err != nil {
		return out, err
	}
	if from != to && ended[from.Day] { // raiseWanted does not count the former hour
		if err := uncount(ctx, tx, from, 1); err != nil {
			return out, err
		}
	}
	if otherBytes && k.Size != nil { // these bytes were not uploaded through callvault
		if _, err := tx.ExecContext(ctx, `UPDATE objects SET size = NULL, crc32 = NULL, sha256 = NULL, etag = NULL WHERE key = $1`, k.ObjectKey); err != nil {
			return out, err
		}
	}
	if _, err := c.raiseWanted(ctx, tx, fresh, touched, left); err != nil {
		return out, err
	}
	for _, h := range touched {
		out.Hours = append(out.Hours, CorrectedHour{h.Day, h.HH()})
	}
	return out, k.Origin.Append(ctx, tx, at, k.Tenant, ActionCorrect,
		correctDetail{Object: k.ObjectKey, Reason: k.Reason, Changed: out.Changed, Hours: out.Hours, Origin: k.Origin})
}

// refuseMove refuses to take a recording out of its conversation or its hour while a hold covers
// the conversation, because the hold might not cover the recording there. Error: KindConflict.
func refuseMove(ctx context.Context, tx *db.Tx, tenant, conversation string) error {
	var name string
	err := tx.QueryRowContext(ctx, `SELECT `+holds.ConversationNameSQL("$1", "$2"), tenant, conversation).Scan(db.OrZero(&name))
	if err == nil && name != "" {
		err = domain.Errorf(domain.KindConflict, "the hold %q covers this recording: its conversation and its hour stay until a day after the hold's release; size, checksum, session, message id and type can be corrected", name)
	}
	return err
}

// uploadedBytes is what callvault computed from the bytes uploaded under a key; nil where none were
// uploaded.
type uploadedBytes struct {
	Size   *int64
	CRC32  *uint32
	SHA256 *domain.SHA256
}

func (s uploadedBytes) text() string {
	switch {
	case s.CRC32 == nil:
		return fmt.Sprintf("%d bytes", *s.Size)
	case s.Size == nil:
		return fmt.Sprintf("bytes with the CRC-32 %08x", *s.CRC32)
	}
	return fmt.Sprintf("%d bytes with the CRC-32 %08x", *s.Size, *s.CRC32)
}

// lockRecording takes the locks that a registration of the recording takes, in the same order: its
// new conversation, then its object. So a registration and a correction never run at the same time.
func (c *Catalog) lockRecording(ctx context.Context, tx *db.Tx, k Correction) (r domain.Recording, s uploadedBytes, err error) {
	if err := holds.Share(ctx, tx, k.Tenant); err != nil {
		return r, s, err
	}
	t, err := requireTenant(ctx, tx, k.Tenant)
	if err != nil {
		return r, s, err
	}
	if r, s, err = readRecording(ctx, tx, k.Tenant, k.ObjectKey); err != nil {
		return r, s, err
	}
	conversation := k.applyTo(r).ConversationID
	if _, err := tx.ExecContext(ctx, `INSERT INTO conversations (tenant, id, created_us, updated_us)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), now_us, now_us FROM catalog_clock WHERE TRUE
		ON CONFLICT (tenant, id) DO UPDATE SET updated_us = conversations.updated_us WHERE conversations.tenant IS NULL`, k.Tenant, conversation); err != nil {
		return r, s, err
	}
	if err := c.refuseErased(ctx, tx, k.Tenant, conversation, t.erasures); err != nil {
		return r, s, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE objects SET tenant = tenant WHERE key = $1`, k.ObjectKey); err != nil {
		return r, s, err
	}
	// A build learns sums without the lock on the object.
	if _, err := tx.ExecContext(ctx, `UPDATE recordings SET size = size WHERE tenant = $1 AND day = (SELECT day FROM objects WHERE key = $2) AND object_key = $2`,
		k.Tenant, k.ObjectKey); err != nil {
		return r, s, err
	}
	if r, s, err = readRecording(ctx, tx, k.Tenant, k.ObjectKey); err == nil && k.applyTo(r).ConversationID != conversation {
		err = db.ErrRetry
	}
	return r, s, err
}

func readRecording(ctx context.Context, tx *db.Tx, tenant, key string) (r domain.Recording, s uploadedBytes, err error) {
	r.ObjectKey = key
	err = tx.QueryRowContext(ctx, `SELECT r.conversation_id, r.session_id, r.message_id, r.type, r.ts_us, r.size, r.crc32, r.sha256, r.sha256_origin, r.etag,
			o.size, o.crc32, o.sha256
		FROM objects o JOIN recordings r ON r.tenant = o.tenant AND r.day = o.day AND r.object_key = o.key
		WHERE o.key = $1 AND o.tenant = $2`, key, tenant).
		Scan(&r.ConversationID, &r.SessionID, &r.MessageID, &r.Type, db.Time(&r.Timestamp), &r.Size, &r.CRC32, &r.SHA256, db.OrZero(&r.SHA256Origin), db.OrZero(&r.ETag),
			&s.Size, &s.CRC32, &s.SHA256)
	return r, s, db.NotFound(err,
		"tenant %s has no recording under this object key; copy the key from its hour's page in the console. Where its line was refused, send line and audio under a new key", tenant)
}

// changedFields gives the values that differ between two states of a recording, by the fields of
// its line.
func changedFields(before, after domain.Recording) map[string]fromTo {
	changed := map[string]fromTo{}
	note := func(field string, from, to any) {
		if from != to {
			changed[field] = fromTo{from, to}
		}
	}
	note("conversationId", before.ConversationID, after.ConversationID)
	note("sessionId", before.SessionID, after.SessionID)
	note("messageId", before.MessageID, after.MessageID)
	note("type", before.Type, after.Type)
	note("timestamp", before.Timestamp.Format(time.RFC3339Nano), after.Timestamp.Format(time.RFC3339Nano))
	note("sizeBytes", valueOf(before.Size), valueOf(after.Size))
	note("crc32", hexOf(before.CRC32), hexOf(after.CRC32))
	note("sha256", sumText(before.SHA256), sumText(after.SHA256))
	return changed
}

func valueOf(n *int64) any {
	if n == nil {
		return nil
	}
	return *n
}

func hexOf(sum *uint32) any {
	if sum == nil {
		return nil
	}
	return fmt.Sprintf("%08x", *sum)
}

func sumText(sum *domain.SHA256) any {
	if sum == nil {
		return nil
	}
	return sum.String()
}

// lockHours locks the days of two hours, in order, and says which days are over.
func lockHours(ctx context.Context, tx *db.Tx, a, b domain.HourKey) (at int64, ended map[domain.Day]bool, err error) {
	ended = map[domain.Day]bool{}
	for _, day := range []domain.Day{min(a.Day, b.Day), max(a.Day, b.Day)} {
		d, err := lockOpenDay(ctx, tx, a.Tenant, day)
		if err != nil {
			return 0, nil, err
		}
		at, ended[day] = d.at, d.over
	}
	return at, ended, nil
}

// writeCorrection writes the corrected recording and keeps the values of its original line. A size
// that a build stored meanwhile stays.
func writeCorrection(ctx context.Context, tx *db.Tx, tenant string, before, after domain.Recording) error {
	from, to := domain.HourOf(tenant, before.Timestamp), domain.HourOf(tenant, after.Timestamp)
	if _, err := tx.ExecContext(ctx, `INSERT INTO corrected_recordings (object_key, tenant, conversation_id, session_id, message_id, type, ts_us, size, crc32, sha256)
		SELECT object_key, tenant, conversation_id, session_id, message_id, type, ts_us, size, crc32, sha256 FROM recordings
		WHERE tenant = $1 AND day = $2 AND object_key = $3 ON CONFLICT (object_key) DO NOTHING`, tenant, from.Day, before.ObjectKey); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE recordings SET day = $4, hour = $5, conversation_id = $6, session_id = $7, message_id = $8, type = $9,
		ts_us = $10, size = coalesce($11, size), crc32 = coalesce($12, crc32), sha256 = $13, sha256_origin = $14, etag = $15
		WHERE tenant = $1 AND day = $2 AND object_key = $3`, tenant, from.Day, before.ObjectKey,
		to.Day, to.Hour, after.ConversationID, after.SessionID, after.MessageID, after.Type, db.Micros(after.Timestamp), after.Size, after.CRC32, after.SHA256, db.OrNull(after.SHA256Origin), db.OrNull(after.ETag)); err != nil {
		return err
	}
	if err := lookAgain(ctx, tx, tenant, before.ObjectKey); err != nil {
		return err
	}
	if from != to { // no later revision of the former hour has it
		if _, err := tx.ExecContext(ctx, `UPDATE archives SET parted = TRUE WHERE tenant = $1 AND day = $2 AND hour = $3
			AND state IN ('published', 'superseded', 'retained')`, tenant, from.Day, from.Hour); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE objects SET day = $2 WHERE key = $1`, before.ObjectKey, to.Day)
	return err
}
