package catalog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// What a patrol reads.
const (
	PatrolRecordings = "recordings"
	PatrolArchives   = "archives"
	PatrolFaults     = "faults" // what is faulty, and due to be looked at again
)

// Position is the last object that a round has read.
type Position struct {
	Tenant    string
	Day       domain.Day
	ObjectKey string
}

// PatrolClaim is the right of one worker to go on with the round of one kind.
type PatrolClaim struct {
	Kind     string
	Round    PatrolRound
	Position Position
	token    string
}

// PatrolRound is how far a round is.
type PatrolRound struct {
	Kind     string
	Running  bool
	Started  time.Time // zero before the first round
	Due      time.Time // when it must have ended
	Ended    time.Time // when the last whole round ended; zero before
	Expected int64     // bytes that it had to read when it began
	Objects  int64     // that it has read
	Bytes    int64     // of these
}

// The sizes of what a round reads. Each reads a whole table, once in each round.
const (
	expectedRecordingsSQL = `SELECT coalesce(sum(size), 0) FROM recordings`
	expectedArchivesSQL   = `SELECT coalesce(sum(size), 0) FROM archives a WHERE ` + patrolledSQL
)

const patrolColumns = `kind, running, started_us, due_us, ended_us, expected, objects, bytes`

func (r *PatrolRound) fields() []any {
	return []any{&r.Kind, &r.Running, db.Time(&r.Started), db.Time(&r.Due), db.Time(&r.Ended), &r.Expected, &r.Objects, &r.Bytes}
}

// ClaimPatrol claims the round of a kind, and begins the next one when the former has ended and
// began at least this time ago. ok is false while another worker reads, and until the next round.
func (c *Catalog) ClaimPatrol(ctx context.Context, kind string, every, lease time.Duration) (claim PatrolClaim, ok bool, err error) {
	var expected int64
	begins, err := c.patrolBegins(ctx, kind, every)
	if err == nil && begins && kind != PatrolFaults {
		sizes := expectedRecordingsSQL
		if kind == PatrolArchives {
			sizes = expectedArchivesSQL
		}
		err = c.db.QueryRowContext(ctx, sizes).Scan(&expected)
	}
	if err != nil {
		return claim, false, err
	}
	claim = PatrolClaim{Kind: kind, token: rand.Text()}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		ok = false
		if _, err := tx.ExecContext(ctx, `INSERT INTO patrols (kind) VALUES ($1) ON CONFLICT (kind) DO NOTHING`, kind); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE patrols SET kind = kind WHERE kind = $1`, kind); err != nil { // locks it
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if begins { // a round that became due since patrolBegins waits for the next claim
			if _, err := tx.ExecContext(ctx, `UPDATE patrols SET running = TRUE, started_us = $2, due_us = $3, expected = $4, objects = 0, bytes = 0,
				tenant = '', day = '', object_key = '' WHERE kind = $1 AND NOT running AND (started_us <= $5 OR started_us > $2)`,
				kind, at, at+every.Microseconds(), expected, at-every.Microseconds()); err != nil {
				return err
			}
		}
		// A lease that ends later than any given now was given before the clock stepped back.
		err = tx.QueryRowContext(ctx, `UPDATE patrols SET token = $2, lease_us = $3 WHERE kind = $1 AND running
			AND (lease_us IS NULL OR lease_us < $4 OR lease_us > $3) RETURNING `+patrolColumns+`, tenant, day, object_key`,
			kind, claim.token, at+lease.Microseconds(), at).
			Scan(append(claim.Round.fields(), &claim.Position.Tenant, &claim.Position.Day, &claim.Position.ObjectKey)...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		ok = err == nil
		return err
	})
	return claim, ok && err == nil, err
}

// patrolBegins says whether a claim would begin a round. It is asked outside of the transaction,
// which must not last as long as the reading of a whole table.
func (c *Catalog) patrolBegins(ctx context.Context, kind string, every time.Duration) (begins bool, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM patrols WHERE kind = $1 AND (running OR started_us > (SELECT now_us FROM catalog_clock) - CAST($2 AS BIGINT) AND started_us <= (SELECT now_us FROM catalog_clock)))`,
		kind, every.Microseconds()).Scan(&begins)
	return begins, err
}

// RenewPatrol keeps a claim. Error: KindLost.
func (c *Catalog) RenewPatrol(ctx context.Context, claim PatrolClaim, lease time.Duration) error {
	return lostUnless(db.Affected(c.db.ExecContext(ctx, `UPDATE patrols SET lease_us = (SELECT now_us FROM catalog_clock) + $3
		WHERE kind = $1 AND token = $2`, claim.Kind, claim.token, lease.Microseconds())))
}

// SavePatrol stores what a claim has read since it was made or last saved, and ends the claim. end
// says that the round has ended. Error: KindLost.
func (c *Catalog) SavePatrol(ctx context.Context, claim PatrolClaim, last Position, objects, bytes int64, end bool) error {
	return lostUnless(db.Affected(c.db.ExecContext(ctx, `UPDATE patrols SET token = NULL, lease_us = NULL, tenant = $3, day = $4, object_key = $5,
		objects = objects + $6, bytes = bytes + $7, running = NOT $8,
		ended_us = CASE WHEN $8 THEN (SELECT now_us FROM catalog_clock) ELSE ended_us END WHERE kind = $1 AND token = $2`,
		claim.Kind, claim.token, last.Tenant, last.Day, last.ObjectKey, objects, bytes, end)))
}

// EndPatrols ends the running rounds that read everything, because the patrol is switched off. If
// it is switched on again, new rounds begin in their time.
func (c *Catalog) EndPatrols(ctx context.Context) error {
	_, err := c.db.ExecContext(ctx, `UPDATE patrols SET running = FALSE, token = NULL, lease_us = NULL WHERE running AND kind <> 'faults'`)
	return err
}

// patrolRounds reads how far the rounds are that read everything. A kind that was never read is
// left out.
func patrolRounds(ctx context.Context, q db.Querier) ([]PatrolRound, error) {
	return db.Collect(ctx, q, func(rows *sql.Rows) (r PatrolRound, err error) {
		err = rows.Scan(r.fields()...)
		return r, err
	}, `SELECT `+patrolColumns+` FROM patrols WHERE started_us > 0 AND kind <> 'faults' ORDER BY kind`)
}

// PatrolRecording is a recording as the patrol compares it.
type PatrolRecording struct {
	Position
	Hour       int
	Size       *int64
	CRC32      *uint32
	SHA256     *domain.SHA256
	ETag       string // "" where no bytes were found to have SHA256
	Registered time.Time
	Faulty     bool // a fault of it is known
}

const patrolRecordingColumns = `r.tenant, r.day, r.object_key, r.hour, r.size, r.crc32, r.sha256, r.etag, r.registered_us`

const patrolRecordingsSQL = `SELECT ` + patrolRecordingColumns + `,
		EXISTS (SELECT 1 FROM faults f WHERE f.kind = 'recording' AND f.tenant = r.tenant AND f.object_key = r.object_key)
	FROM recordings r WHERE (r.tenant, r.day, r.object_key) > ($1, $2, $3) ORDER BY r.tenant, r.day, r.object_key LIMIT $4`

// PatrolledRecordings lists the recordings after a position, at most limit.
func (c *Catalog) PatrolledRecordings(ctx context.Context, after Position, limit int) ([]PatrolRecording, error) {
	return db.Collect(ctx, c.db, scanPatrolRecording, patrolRecordingsSQL, after.Tenant, after.Day, after.ObjectKey, limit)
}

func scanPatrolRecording(rows *sql.Rows) (r PatrolRecording, err error) {
	err = rows.Scan(&r.Tenant, &r.Day, &r.ObjectKey, &r.Hour, &r.Size, &r.CRC32, &r.SHA256, db.OrZero(&r.ETag), db.Time(&r.Registered), &r.Faulty)
	return r, err
}
