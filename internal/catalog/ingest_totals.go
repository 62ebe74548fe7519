package catalog

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// orCorrectTotal says what to do where the line of a total is right and what is known is not.
const orCorrectTotal = "; if this line is right, an operator corrects what stands (callvault total correct)"

// totals stores the totals of a batch. It locks the days of its totals, of erased recordings and of
// changed ones together, in order, because raiseWanted locks those of changed ones afterwards.
func (r *registration) totals(ctx context.Context, lines []Line[domain.Total]) error {
	if len(lines)+len(r.counted) == 0 {
		return nil
	}
	days := slices.Clone(r.counted)
	for _, l := range lines {
		days = append(days, l.Value.Day)
	}
	for _, k := range slices.Concat(r.fresh, r.touched) {
		days = append(days, k.Day)
	}
	slices.Sort(days)
	for _, day := range slices.Compact(days) {
		if _, err := lockDay(ctx, r.tx, r.tenant, day); err != nil {
			return err
		}
	}
	// Under the locks, because the first total of a day may come at the same time.
	var err error
	if r.counted, err = r.withTotals(ctx); err != nil {
		return err
	}
	for _, l := range lines {
		isNew, err := r.total(ctx, l)
		if err != nil {
			return err
		}
		if isNew {
			r.n.Changed++
			r.counted = append(r.counted, l.Value.Day)
		}
	}
	slices.Sort(r.counted)
	r.counted = slices.Compact(r.counted)
	return nil
}

// withTotals gives those of the counted days that have totals.
func (r *registration) withTotals(ctx context.Context) (days []domain.Day, err error) {
	slices.Sort(r.counted)
	for _, day := range slices.Compact(r.counted) {
		var n int
		if err := r.tx.QueryRowContext(ctx, `SELECT count(*) FROM totals WHERE tenant = $1 AND day = $2`, r.tenant, day).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			days = append(days, day)
		}
	}
	return days, nil
}

// total stores one total and says whether it is new. A line that says what its first one did is a
// repeat, also where an operator has corrected or removed the total since.
func (r *registration) total(ctx context.Context, l Line[domain.Total]) (bool, error) {
	t := l.Value
	if begins := t.Begins(); begins.After(db.FromMicros(r.at)) {
		return false, refuse(l.Number, domain.KindInvalid, "%s has not begun by callvault's clock, so nothing of it can be counted", t.Scope())
	}
	var known, first *int64
	err := r.tx.QueryRowContext(ctx, `SELECT recordings, line FROM totals WHERE tenant = $1 AND day = $2 AND hour = $3`, r.tenant, t.Day, t.Hour).Scan(&known, &first)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return false, err
	case known != nil && *known == t.Recordings, first != nil && *first == t.Recordings:
		return false, nil
	case known != nil:
		return false, refuse(l.Number, domain.KindConflict, `"recordings" is %d, and the total of %s is %d`+orCorrectTotal, t.Recordings, t.Scope(), *known)
	}
	if _, err := r.tx.ExecContext(ctx, `INSERT INTO totals (tenant, day, hour, recordings, line, set_us) VALUES ($1, $2, $3, $4, $4, $5)
		ON CONFLICT (tenant, day, hour) DO UPDATE SET recordings = excluded.recordings, line = excluded.line, set_us = excluded.set_us`,
		r.tenant, t.Day, t.Hour, t.Recordings, r.at); err != nil {
		return false, err
	}
	all, err := readTotals(ctx, r.tx, r.tenant, t.Day)
	if err != nil {
		return false, err
	}
	if reason := all.contradiction(t.Day); reason != "" {
		return false, refuse(l.Number, domain.KindConflict, "with this line %s"+orCorrectTotal, reason)
	}
	_, err = r.tx.ExecContext(ctx, `UPDATE days SET n_totals = n_totals + 1 WHERE tenant = $1 AND day = $2`, r.tenant, t.Day)
	return true, err
}

// compareTotals compares the days that got a total with what is registered.
func (r *registration) compareTotals(ctx context.Context) error {
	for _, day := range r.counted {
		if err := totalsChanged(ctx, r.tx, r.tenant, day); err != nil {
			return err
		}
	}
	return nil
}

// totalsChanged compares a locked day whose totals changed with what is registered. The counts of
// an ended day stay as they were, and nothing is announced of it.
func totalsChanged(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) error {
	d, err := lockOpenDay(ctx, tx, tenant, day)
	if err != nil {
		return err
	}
	if _, err := compareTotals(ctx, tx, tenant, day); err != nil || d.over {
		return err
	}
	return refreshDay(ctx, tx, tenant, day, d.at)
}
