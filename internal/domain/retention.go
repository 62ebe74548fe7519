package domain

import "time"

// Retention bounds of a tenant, in days.
const (
	MinRetentionDays       = 1
	MaxRetentionDays       = 3650
	MaxSourceRetentionDays = 36500
)

// Retention is how long a day is kept.
func Retention(days int) time.Duration { return time.Duration(days) * 24 * time.Hour }

// Shortens says whether data ends earlier by the source retention after than by before. Both are in
// days; 0 keeps data for ever.
func Shortens(before, after int) bool { return after > 0 && (before == 0 || after < before) }

// RetentionEnd is the instant from which a day is past retention: retentionDays × 24 h after
// the day was reopened, else after it was settled, else after the day itself ended.
// Zero times mean "not yet".
func RetentionEnd(day Day, settled, reopened time.Time, retentionDays int) time.Time {
	base := day.End()
	if !settled.IsZero() {
		base = settled
	}
	if !reopened.IsZero() {
		base = reopened
	}
	return base.Add(Retention(retentionDays))
}
