package catalog

import (
	"context"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// The audit log's actions of totals.
const (
	ActionTotalCorrect = "total.correct"
	ActionTotalRemove  = "total.remove"
)

// TotalCorrection is an operator's change of a total.
type TotalCorrection struct {
	Tenant     string
	Day        domain.Day
	Hour       int    // 0 to 23, or domain.WholeDay
	Recordings *int64 // nil removes the total
	Reason     string // for the audit log
	Origin     audit.Origin
}

// CorrectedTotal is the result of a TotalCorrection.
type CorrectedTotal struct {
	Day        domain.Day `json:"day"`
	Hour       string     `json:"hour,omitempty"` // "00" to "23"; "" for the whole day
	From       *int64     `json:"from"`           // recordings; null where it had been removed
	To         *int64     `json:"to"`             // null where it is removed
	Registered int64      `json:"registered"`     // recordings of the day or hour
}

type totalDetail struct {
	Day    domain.Day `json:"day"`
	Hour   string     `json:"hour,omitempty"`
	From   *int64     `json:"from"`
	To     *int64     `json:"to"`
	Reason string     `json:"reason"`
	audit.Origin
}

// CorrectTotal changes or removes a total, with a line in the audit log. The line that told of it
// may be sent again, and changes nothing. Errors: KindNotFound (tenant, total), KindInvalid (no
// reason, negative), KindConflict (it contradicts other totals).
func (c *Catalog) CorrectTotal(ctx context.Context, k TotalCorrection) (out CorrectedTotal, err error) {
	if k.Reason == "" {
		return out, domain.Errorf(domain.KindInvalid, "the reason is missing; give one, the audit log keeps it")
	}
	if k.Hour < domain.WholeDay || k.Hour > 23 {
		return out, domain.Errorf(domain.KindInvalid, "there is no hour %d; use 0 to 23", k.Hour)
	}
	if k.Recordings != nil && (*k.Recordings < 0 || *k.Recordings > domain.MaxTotal) {
		return out, domain.Errorf(domain.KindInvalid, "the total must be from 0 to %d recordings", int64(domain.MaxTotal))
	}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		out, err = correctTotal(ctx, tx, k)
		return err
	})
	return out, err
}

func correctTotal(ctx context.Context, tx *db.Tx, k TotalCorrection) (out CorrectedTotal, err error) {
	out = CorrectedTotal{Day: k.Day, To: k.Recordings}
	if k.Hour != domain.WholeDay {
		out.Hour = domain.HourKey{Hour: k.Hour}.HH()
	}
	if _, err := requireTenant(ctx, tx, k.Tenant); err != nil {
		return out, err
	}
	scope := domain.Total{Day: k.Day, Hour: k.Hour}.Scope()
	// Before the day is locked, because that inserts its row.
	err = tx.QueryRowContext(ctx, `SELECT recordings FROM totals WHERE tenant = $1 AND day = $2 AND hour = $3`, k.Tenant, k.Day, k.Hour).Scan(&out.From)
	if err != nil {
		return out, db.NotFound(err, "tenant %s has no total of %s; a line of the kind total tells of one", k.Tenant, scope)
	}
	d, err := lockOpenDay(ctx, tx, k.Tenant, k.Day)
	if err != nil {
		return out, err
	}
	if err := tx.QueryRowContext(ctx, `SELECT recordings FROM totals WHERE tenant = $1 AND day = $2 AND hour = $3`, k.Tenant, k.Day, k.Hour).Scan(&out.From); err != nil {
		return out, err
	}
	if !same(out.From, out.To) {
		if _, err := tx.ExecContext(ctx, `UPDATE totals SET recordings = $4, set_us = $5 WHERE tenant = $1 AND day = $2 AND hour = $3`,
			k.Tenant, k.Day, k.Hour, k.Recordings, d.at); err != nil {
			return out, err
		}
		if err := totalsChanged(ctx, tx, k.Tenant, k.Day); err != nil {
			return out, err
		}
	}
	all, err := readTotals(ctx, tx, k.Tenant, k.Day)
	out.Registered = all.RegisteredOf(k.Hour)
	if err != nil || same(out.From, out.To) {
		return out, err
	}
	if reason := all.contradiction(k.Day); reason != "" {
		return out, domain.Errorf(domain.KindConflict, "with this correction %s; correct or remove the wrong one first", reason)
	}
	action := ActionTotalCorrect
	if k.Recordings == nil {
		action = ActionTotalRemove
	}
	return out, k.Origin.Append(ctx, tx, d.at, k.Tenant, action, totalDetail{out.Day, out.Hour, out.From, out.To, k.Reason, k.Origin})
}
