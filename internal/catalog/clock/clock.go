package clock

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// Clock is the catalog's clock.
type Clock struct{ db *db.DB }

// New gives the clock of a database.
func New(d *db.DB) *Clock { return &Clock{d} }

const (
	// MaxStep is how far the clock may be from the expected time.
	MaxStep = 10 * time.Minute
	// stepPause is how long expiry and deletions pause when it is further away.
	stepPause = time.Hour
	// noteEvery is the shortest time between two checks that are written down.
	noteEvery = time.Minute
)

// Reading is the result of a check of the catalog's clock.
type Reading struct {
	At      time.Time
	Step    time.Duration // how far the clock is from the expected time, where that starts a pause; else 0
	Trusted bool          // expiry and deletions may run
}

// TrustedSQL is true while the clock is trusted for expiry and deletions: there is no pause,
// and the clock was checked within the last 10 minutes. A statement that ends days or deletes
// something has this condition, so that an unchecked clock ends nothing.
const TrustedSQL = `EXISTS (SELECT 1 FROM clock s CROSS JOIN catalog_clock n WHERE n.now_us >= s.paused_until_us
	AND s.seen_us BETWEEN n.now_us - 600000000 AND n.now_us + 600000000)`

// CheckClock compares the clock with the expected time, and writes down that it was checked. last
// is the catalog's time at the caller's last check, and elapsed is the time since then by the
// caller's monotonic clock. Where last is zero, the last check of any process is compared instead.
// If the difference is more than 10 minutes, expiry and deletions pause for an hour. Either the
// clock is wrong or no process was running: these two cases look the same. There is no pause for a
// catalog that has no day, because nothing can be lost, and none for one whose clock was never
// checked.
func (c *Clock) CheckClock(ctx context.Context, last time.Time, elapsed time.Duration) (Reading, error) {
	s, err := readClock(ctx, c.db, last, elapsed)
	if err != nil || s.Step == 0 && !s.stale {
		return s.Reading, err
	}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE clock SET one = one`); err != nil { // other checks wait
			return err
		}
		if s, err = readClock(ctx, tx, last, elapsed); err != nil {
			return err
		}
		if s.Step == 0 {
			_, err := tx.ExecContext(ctx, `UPDATE clock SET seen_us = $1`, db.Micros(s.At))
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE clock SET seen_us = $1, paused_until_us = $2`, db.Micros(s.At), db.Micros(s.At.Add(stepPause)))
		return err
	})
	return s.Reading, err
}

// Watch checks the clock repeatedly. It compares each check with the one before, by the
// process's own clock.
type Watch struct {
	Catalog interface {
		CheckClock(ctx context.Context, last time.Time, elapsed time.Duration) (Reading, error)
	}
	Now func() time.Time // the process's clock, of which only differences are used

	last, process time.Time // the two clocks at the check before
}

// Check checks the clock. After an error the next check sees the same step.
func (w *Watch) Check(ctx context.Context) (Reading, error) {
	process := w.Now()
	check, err := w.Catalog.CheckClock(ctx, w.last, process.Sub(w.process))
	if err != nil {
		return Reading{}, err
	}
	w.last, w.process = check.At, process
	return check, nil
}

// reading is a Reading, with the note whether it must be written down.
type reading struct {
	Reading
	stale bool
}

func readClock(ctx context.Context, q db.Querier, last time.Time, elapsed time.Duration) (l reading, err error) {
	var at, seen, after int64
	var days bool
	err = q.QueryRowContext(ctx, `SELECT n.now_us, s.seen_us, s.paused_until_us, EXISTS (SELECT 1 FROM days)
		FROM clock s CROSS JOIN catalog_clock n`).Scan(&at, &seen, &after, &days)
	if err != nil {
		return l, err
	}
	l.At = db.FromMicros(at)
	step := time.Duration(at-seen) * time.Microsecond
	l.stale = step.Abs() >= noteEvery
	switch {
	case !last.IsZero():
		step = l.At.Sub(last) - elapsed
	case !days || seen == 0: // there is nothing to compare with
		step = 0
	}
	if step.Abs() > MaxStep {
		l.Step = step
	}
	l.Trusted = l.Step == 0 && at >= after
	return l, nil
}

// Paused says whether the clock, whose time is at, is not trusted for expiry and deletions. It is
// trusted where there is no day yet, and where it was never checked.
func Paused(ctx context.Context, tx *db.Tx, at int64) (paused bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM days) AND (paused_until_us > $1
		OR seen_us <> 0 AND seen_us NOT BETWEEN CAST($1 AS BIGINT) - 600000000 AND CAST($1 AS BIGINT) + 600000000) FROM clock`, at).Scan(&paused)
	return paused, err
}

// Now reads the catalog's clock. Call it after the locks are held.
func Now(ctx context.Context, q db.Querier) (int64, error) {
	var us int64
	err := q.QueryRowContext(ctx, `SELECT now_us FROM catalog_clock`).Scan(&us)
	return us, err
}

// Now is the catalog's time: the one that decides about data.
func (c *Clock) Now(ctx context.Context) (time.Time, error) {
	us, err := Now(ctx, c.db)
	if err != nil {
		return time.Time{}, err
	}
	return db.FromMicros(us), nil
}
