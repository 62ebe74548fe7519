package catalog

import (
	"context"
	"database/sql"
	"time"
)

const (
	// maxClockStep is how far the clock may stray from what was expected of it.
	maxClockStep = 10 * time.Minute
	// clockStepPause is how long expiry and deletions pause when it strayed further.
	clockStepPause = time.Hour
	// noteEvery is how often a look at the clock is written down, at most.
	noteEvery = time.Minute
)

// ClockCheck is the catalog's clock as somebody saw it who lets days end.
type ClockCheck struct {
	At      time.Time
	Step    time.Duration // how far the clock is from where it should be, when that starts a pause; else 0
	Trusted bool          // expiry and deletions may run
}

// clockTrustedSQL says that the clock can be trusted with expiry and deletions: no pause is on, and somebody
// has looked at it lately. Whoever lets days end asks in the same statement or transaction, so that
// a clock that nobody has looked at yet ends nothing.
const clockTrustedSQL = `EXISTS (SELECT 1 FROM clock s CROSS JOIN catalog_clock n WHERE n.now_us >= s.deletions_after
	AND s.seen_us BETWEEN n.now_us - 600000000 AND n.now_us + 600000000)`

// CheckClock looks at the clock and leaves behind that it did. last is what the process saw the time
// before (zero: nothing yet), and elapsed what has passed since by its own steady clock. A process
// that saw nothing yet goes by what others left behind. When that does not fit by more than ten
// minutes, expiry and deletions pause for an hour: the clock may be wrong, or nobody was up, which
// look the same. A catalog without any day has nothing to lose and never pauses; nor does one at which
// nobody has looked before.
func (c *Catalog) CheckClock(ctx context.Context, last time.Time, elapsed time.Duration) (ClockCheck, error) {
	s, err := readClock(ctx, c.read, last, elapsed)
	if err != nil || s.Step == 0 && !s.stale {
		return s.ClockCheck, translate(err)
	}
	err = c.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE clock SET one = one`); err != nil { // others who look wait
			return err
		}
		if s, err = readClock(ctx, tx, last, elapsed); err != nil {
			return err
		}
		if s.Step == 0 {
			_, err := tx.ExecContext(ctx, `UPDATE clock SET seen_us = $1`, micros(s.At))
			return err
		}
		return pauseDeletions(ctx, tx, micros(s.At), clockStepPause)
	})
	return s.ClockCheck, err
}

// clockReading is a look at the clock, and whether it is time to write one down.
type clockReading struct {
	ClockCheck
	stale bool
}

func readClock(ctx context.Context, q rowQuerier, last time.Time, elapsed time.Duration) (l clockReading, err error) {
	var at, seen, after int64
	var days bool
	err = q.QueryRowContext(ctx, `SELECT n.now_us, s.seen_us, s.deletions_after, EXISTS (SELECT 1 FROM days)
		FROM clock s CROSS JOIN catalog_clock n`).Scan(&at, &seen, &after, &days)
	if err != nil {
		return l, err
	}
	l.At = fromMicros(at)
	step := time.Duration(at-seen) * time.Microsecond
	l.stale = step.Abs() >= noteEvery
	switch {
	case !last.IsZero():
		step = l.At.Sub(last) - elapsed
	case !days || seen == 0: // nobody ever looked: there is nothing to compare with
		step = 0
	}
	if step.Abs() > maxClockStep {
		l.Step = step
	}
	l.Trusted = l.Step == 0 && at >= after
	return l, nil
}

// PauseDeletions stops expiry and deletions for d from the catalog's now.
func (c *Catalog) PauseDeletions(ctx context.Context, d time.Duration) error {
	return c.update(ctx, func(tx *sql.Tx) error {
		at, err := now(ctx, tx)
		if err != nil {
			return err
		}
		return pauseDeletions(ctx, tx, at, d)
	})
}

func pauseDeletions(ctx context.Context, tx *sql.Tx, at int64, d time.Duration) error {
	_, err := tx.ExecContext(ctx, `UPDATE clock SET seen_us = $1, deletions_after = $2`, at, at+d.Microseconds())
	return err
}

// deletionsPaused says whether the clock, which is at at, cannot be trusted with expiry and deletions.
// Where there is no day yet there is nothing to lose, and where nobody ever looked nothing speaks against it.
func deletionsPaused(ctx context.Context, tx *sql.Tx, at int64) (paused bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM days) AND (deletions_after > $1
		OR seen_us <> 0 AND seen_us NOT BETWEEN CAST($1 AS BIGINT) - 600000000 AND CAST($1 AS BIGINT) + 600000000) FROM clock`, at).Scan(&paused)
	return paused, err
}

// ShiftClock moves the catalog's time by d from the database's own clock, as if somebody had looked
// at it all the way. Tests use it.
func (c *Catalog) ShiftClock(ctx context.Context, d time.Duration) error {
	return c.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE clock SET offset_us = $1`, d.Microseconds()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE clock SET seen_us = (SELECT now_us FROM catalog_clock)`)
		return err
	})
}

// SetClock moves the catalog's time like ShiftClock, and nobody looks. Tests use it.
func (c *Catalog) SetClock(ctx context.Context, d time.Duration) error {
	_, err := c.write.ExecContext(ctx, `UPDATE clock SET offset_us = $1`, d.Microseconds())
	return translate(err)
}
