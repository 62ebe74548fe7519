package catalog

import (
	"context"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Why a day has no seal yet.
var (
	ErrUnsealed = domain.Errorf(domain.KindNotFound, "the day is not sealed yet: hours are pending")
	ErrUnproven = domain.Errorf(domain.KindNotFound, "the day's seal is not in a checkpoint of the log yet")
)

// DaySeal gives the newest seal of a day that can be proven, unless an hour is pending. Errors:
// those of CheckDay but KindLimited, in the same order, then ErrUnsealed and ErrUnproven.
func (c *Catalog) DaySeal(ctx context.Context, r DayRequest) (Seal, error) {
	a, err := readDayAccess(ctx, c.db, r)
	if err != nil {
		return Seal{}, err
	}
	a.window = Window{Limit: 1} // it does not count
	if err := a.refusal(r); err != nil {
		return Seal{}, err
	}
	var pending int
	if err := c.db.QueryRowContext(ctx, `SELECT coalesce(max(n_pending), 0) FROM days WHERE tenant = $1 AND day = $2`, r.Tenant, r.Day).Scan(&pending); err != nil {
		return Seal{}, err
	}
	if pending > 0 { // maybe after an erasure: then the former seal tells of what was erased
		return Seal{}, ErrUnsealed
	}
	s, err := seal(ctx, c.db, provenSealSQL, r.Tenant, r.Day)
	if err != nil || s.Record != 0 {
		return s, err
	}
	if s, err = seal(ctx, c.db, formerSealSQL, r.Tenant, r.Day); err != nil {
		return s, err
	}
	if s.Record == 0 {
		return s, ErrUnsealed
	}
	return Seal{}, ErrUnproven
}

// provenSealSQL is the newest seal of a day that a checkpoint covers.
const provenSealSQL = `SELECT s.record, r.data FROM day_seals s JOIN log_records r ON r.id = s.record
	JOIN log_leaves l ON l.kind = 'seal' AND l.ref = s.record JOIN log_state c ON c.checkpoint_size > l.n
	WHERE s.tenant = $1 AND s.day = $2 ORDER BY s.record DESC LIMIT 1`

const unsealedSQL = `SELECT tenant, day FROM days WHERE seal IS NULL AND completed_us IS NOT NULL AND n_pending = 0 AND expired_us IS NULL
	ORDER BY day, tenant LIMIT $1`

// SealDays seals days that were settled, or got a revision, by a program that makes no seals. It
// does so for at most limit days, and says for how many.
func (c *Catalog) SealDays(ctx context.Context, limit int) (int, error) {
	keys, err := c.dayKeys(ctx, unsealedSQL, limit)
	if err != nil {
		return 0, err
	}
	sealed, err := changeEach(keys, func(k DayKey) (done bool, err error) {
		err = c.db.Update(ctx, func(tx *db.Tx) error {
			d, err := lockOpenDay(ctx, tx, k.Tenant, k.Day)
			if err != nil || d.expired {
				return err
			}
			var pending int
			if err := tx.QueryRowContext(ctx, `SELECT n_pending FROM days WHERE tenant = $1 AND day = $2`, k.Tenant, k.Day).Scan(&pending); err != nil || pending > 0 {
				return err
			}
			done = true
			return sealDay(ctx, tx, k.Tenant, k.Day, d.at, false)
		})
		return done, err
	})
	return len(sealed), err
}
